"""The reference: every name that the library's packages export, read from the source.

Public is what `__all__` of `jaxninja` and of its packages name, and the layers. Their
docstrings are read without importing anything.
"""

from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

import griffe

import jaxninja
from jaxninja.book import frame, markup
from jaxninja.rules import RULES

_PACKAGE = Path(jaxninja.__file__).parent

# page -> the module whose names it lists, and what it is for
MODULES = {
    "jaxninja": "What a notebook needs: the checker, training, named gradients.",
    "jaxninja.rules": "The layers, each a function under jax.custom_vjp.",
    "jaxninja.check": "Is a backward pass right?",
    "jaxninja.engine": "Backpropagation over primitive operations.",
    "jaxninja.workbook": "The exercises, from a notebook.",
    "jaxninja.mutation": "Wrong copies of a rule.",
    "jaxninja.plots": "The figures.",
    "jaxninja.report": "A run as one HTML file.",
    "jaxninja.training.steps": "One step of training, and many in one program.",
    "jaxninja.book": "This handbook.",
}

# what is no function and no class, and has no docstring where it is made
OBJECTS = {
    "PRIMITIVES": "The table of hand-derived rules: primitive -> its VJP.",
    "RULES": "All rules, a tuple of `Rule`, in the order of their topics.",
    "autodiff": "The plain forward of each rule by name, left to `jax.grad`.",
    "manual": "The function of each rule by name, with its backward pass by hand.",
}


class Symbol(NamedTuple):
    """A public name: as it is exported, and what it is."""

    name: str
    found: griffe.Object | griffe.Attribute


@cache
def source() -> griffe.Module:
    """The package, parsed."""
    found = griffe.load(
        "jaxninja",
        search_paths=[_PACKAGE.parent],
        docstring_parser="google",
        docstring_options={"warnings": False},
        allow_inspection=False,
        resolve_aliases=False,
    )
    return found  # type: ignore[return-value]


def symbols(module: str) -> list[Symbol]:
    """What a module exports, by name."""
    if module == "jaxninja.rules":
        return [Symbol(rule.name, _object(_path(rule.op))) for rule in RULES]
    names = _exported(module)
    return [Symbol(name, _object(path)) for name, path in sorted(names.items())]


def _path(op) -> str:
    return f"{op.__module__}.{op.__name__}"


def _exported(module: str) -> dict[str, str]:
    """Name -> where it is defined."""
    if module == "jaxninja":
        return {name: f"{where}.{name}" for name, where in jaxninja._PUBLIC.items()}
    found = source()[module.partition(".")[2]]
    names = [str(name).strip("'\"") for name in found.exports or ()]
    return {name: f"{module}.{name}" for name in names}


def _object(path: str) -> griffe.Object | griffe.Attribute:
    """By its path, through imports from one module to the next."""
    found = source()[path.partition(".")[2]]
    while found.is_alias:
        found = source()[found.target_path.partition(".")[2]]  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


def members(symbol: Symbol) -> list[griffe.Function | griffe.Attribute]:
    """Public methods and properties of a class, in the order of its file."""
    if not symbol.found.is_class:
        return []
    own = [m for name, m in symbol.found.members.items() if not name.startswith("_")]
    kinds = [m for m in own if m.is_function or "property" in m.labels]
    return kinds  # type: ignore[return-value]


def undocumented() -> Iterator[str]:
    """Public names without a docstring."""
    for module in MODULES:
        for symbol in symbols(module):
            if not symbol.found.docstring and symbol.name not in OBJECTS:
                yield f"{module}.{symbol.name}"
            for member in members(symbol):
                if not member.docstring:
                    yield f"{module}.{symbol.name}.{member.name}"


def pages() -> list[frame.Page]:
    """The list of modules, and a page for each."""
    rows = [
        (frame.link(f"{name}.html", name, code=True), escape(what), _names(name))
        for name, what in MODULES.items()
    ]
    index = (
        '<h1>Reference</h1><p class="lead">Every name that the library exports, with '
        "its signature and its docstring.</p>"
        + frame.table(("module", "what it is for", "names"), rows, "stacked")
    )
    each = [_page(name, what) for name, what in MODULES.items()]
    return [
        frame.Page("reference/index.html", "Reference", index),
        *frame.chained(each),
    ]


def _names(module: str) -> str:
    links = [frame.link(f"{module}.html#{s.name}", s.name) for s in symbols(module)]
    return ", ".join(links)


def _page(module: str, what: str) -> frame.Page:
    names = frame.chips_to((f"#{s.name}", s.name) for s in symbols(module))
    parts = [f'<h1>{module}</h1><p class="lead">{escape(what)}</p>{names}']
    parts += map(_symbol, symbols(module))
    return frame.Page(f"reference/{module}.html", module, "".join(parts))


def _symbol(symbol: Symbol) -> str:
    inside = "".join(
        f'<div class="member"><h3><code>{member.name}</code></h3>{_about(member)}</div>'
        for member in members(symbol)
    )
    return (
        f'<section class="symbol" id="{symbol.name}"><h3>{symbol.name}</h3>'
        f"{_about(symbol.found)}{inside}"
        f'<p class="soft">{escape(symbol.found.canonical_path)}</p></section>'
    )


def _about(found) -> str:
    """Signature and docstring."""
    parts = []
    if found.is_function or (found.is_class and "__init__" in found.members):
        parts.append(markup.code(_signature(found)))
    elif found.is_attribute and "property" not in found.labels:
        parts.append(_made(found))
    if found.docstring:
        parts += [_section(s) for s in found.docstring.parse("google")]
    return "".join(parts)


def _made(found) -> str:
    """An object that is made at import: its type, or what an alias stands for."""
    text = f"{found.name}: {found.annotation}" if found.annotation else found.name
    if not found.annotation and found.docstring:
        text += f" = {found.value}"
    return markup.code(text) + markup.markdown(OBJECTS.get(found.name, ""))


def _signature(found) -> str:
    """On one line where it fits, else a parameter a line."""
    function = found.members["__init__"] if found.is_class else found
    given = [p for p in function.parameters if p.name != "self"]
    texts = [_parameter(p) for p in given]
    returns = "" if found.is_class or not found.returns else f" -> {found.returns}"
    one = f"{found.name}({', '.join(texts)}){returns}"
    if len(one) < 80:
        return one
    return f"{found.name}(\n    " + ",\n    ".join(texts) + f",\n){returns}"


def _parameter(parameter) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}
    kind = str(parameter.kind.value)
    text = stars.get(kind, "") + parameter.name
    text += f": {parameter.annotation}" if parameter.annotation else ""
    plain = parameter.default is None or kind in stars
    return text if plain else f"{text} = {parameter.default}"


def _section(section) -> str:
    """A part of a docstring: text, or a list of arguments, attributes, errors."""
    kind = section.kind.value
    if kind == "text":
        return markup.markdown(section.value)
    if kind in ("parameters", "attributes", "raises", "returns", "yields"):
        items = "".join(_item(item) for item in section.value)
        name = "Arguments" if kind == "parameters" else kind.capitalize()
        return f'<p><b>{name}</b></p><dl class="fields">{items}</dl>'
    value = getattr(section.value, "contents", None) or str(section.value)
    return f"<p><b>{escape(section.title or kind.capitalize())}</b> {escape(value)}</p>"


def _item(item) -> str:
    name = getattr(item, "name", "") or str(item.annotation or "")
    term = f"<dt>{escape(name)}</dt>" if name else ""
    return f"{term}<dd>{markup.inline(item.description)}</dd>"
