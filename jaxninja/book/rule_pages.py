"""A page for each rule, and the table of all."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html import escape
from types import ModuleType
from typing import Any

import jax

from jaxninja.book import (
    certificates,
    frame,
    kept,
    markup,
    parts_called,
)
from jaxninja.book.mathematics import derivation
from jaxninja.engine import trace
from jaxninja.models import parts as common_parts
from jaxninja.models.network import PAGES
from jaxninja.rule import Rule
from jaxninja.rules import RULES


def pages() -> list[frame.Page]:
    """The table first, then the rules in the order of the catalogue."""
    found = {rule.name: kept.of(rule) for rule in RULES}
    each = [_page(rule, found[rule.name]) for rule in RULES]
    index = frame.Page("rules/index.html", "Rules", _index(found))
    return [index, *frame.chained(each)]


def address(rule: Rule) -> str:
    """The path of a rule's page below the book's folder."""
    return f"rules/{rule.name}.html"


def _index(found: dict[str, kept.Both]) -> str:
    parts = [
        f"<h1>The {len(RULES)} rules</h1>",
        '<p class="lead">A rule is a layer with its forward and its backward pass '
        "written by hand. The bars are what it keeps in memory between the two, and "
        "what autodiff would keep (hatched), at one large size.</p>",
    ]
    for topic, rules in topics().items():
        parts.append(f'<h2 id="{topic}">{topic.capitalize()}</h2>')
        rows = [_row(rule, found[rule.name]) for rule in rules]
        head = ("rule", "by hand#", "autodiff#", "", "what it is")
        parts.append(frame.table(head, rows, "catalogue"))
    return "".join(parts)


def topics() -> dict[str, list[Rule]]:
    """The folder of rules -> the rules in it."""
    found: dict[str, list[Rule]] = {}
    for rule in RULES:
        found.setdefault(module_of(rule).__name__.split(".")[-2], []).append(rule)
    return found


def _row(rule: Rule, both: kept.Both) -> tuple[str, ...]:
    return (
        frame.link(f"{rule.name}.html", rule.name, code=True),
        kept.bytes_of(kept.total(both.mine)),
        kept.bytes_of(kept.total(both.theirs)),
        kept.small(both),
        derivation.title(inspect.getdoc(module_of(rule)) or ""),
    )


def module_of(rule: Rule) -> ModuleType:
    """The module of a rule's file."""
    return sys.modules[rule.fwd.__module__]


def _page(rule: Rule, both: kept.Both) -> frame.Page:
    doc = inspect.getdoc(module_of(rule)) or ""
    call = f"{rule.name}({', '.join(rule.arguments)})"
    parts = [
        f"<h1>{rule.name}</h1>",
        f'<p class="lead">{derivation.title(doc)}</p>',
        f'<p><code>{escape(call)}</code></p><p class="soft">Source: '
        f"{escape(rule.source)}.</p>",
        f"<h2>Derivation</h2>{derivation.body(doc)}",
        f"<h2>Forward and backward</h2>{_code(rule)}",
        f"<h2>What is kept</h2>{kept.section(rule, both)}",
        f"<h2>Certificate</h2>{certificates.section(rule)}",
        f"<h2>Graph of the forward pass</h2>{_graph(rule)}",
        f"<h2>Where it is used</h2>{_used(rule)}",
    ]
    return frame.Page(address(rule), rule.name, "".join(parts))


def _code(rule: Rule) -> str:
    """Forward beside backward; definition, forward mode and the file on request."""
    residuals = getattr(module_of(rule), "Residuals", None)
    forward = [part for part in (residuals, rule.fwd) if part]
    sides = (
        f"<div><h3>Forward, and what it keeps</h3>{_sources(forward)}"
        f"{_called(rule.fwd)}</div>"
        f"<div><h3>Backward</h3>{_sources([rule.bwd])}{_called(rule.bwd)}</div>"
    )
    parts = [markup.code(_source(rule.op)), f'<div class="beside">{sides}</div>']
    if rule.jvp:
        parts.append(frame.fold("Forward mode", markup.code(_source(rule.jvp))))
    file = inspect.getsource(module_of(rule))
    return "".join([*parts, frame.fold("The whole file", markup.code(file))])


def _called(f: Callable) -> str:
    """What else is to be read: the functions of the rules that a pass calls."""
    found = parts_called.by(f)
    return f'<p class="soft">It calls</p>{_sources(found)}' if found else ""


def _sources(parts: Sequence[Any]) -> str:
    return markup.code("\n\n\n".join(map(_source, parts)))


def _source(part: Any) -> str:
    return inspect.getsource(inspect.unwrap(part)).rstrip()


def _graph(rule: Rule) -> str:
    """Traced at shapes alone, so no box has a value."""
    case, drawn = rule.cases[0], []

    def draw(key):
        arrays = rule.example(key, **case.dims)

        def plain(*a):
            return rule.reference(*rule.arranged(a, case.static))

        names = _array_names(rule, len(arrays), case.static)
        places = [
            inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names
        ]
        plain.__signature__ = inspect.Signature(places)  # type: ignore[attr-defined]
        drawn.append(trace(plain, *arrays).to_svg())
        return 0

    jax.eval_shape(draw, jax.random.key(0))
    caption = f"The primitive operations of the plain forward pass at {kept.at(case)}."
    return (
        f'<figure><div class="wide">{drawn[0]}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _array_names(rule: Rule, count: int, static: tuple) -> list[str]:
    """Of its arguments, those that are no options."""
    places = rule.arranged(tuple(range(count)), (None,) * len(static))
    pairs = zip(rule.arguments, places, strict=False)
    return [name for name, place in pairs if place is not None]


def _used(rule: Rule) -> str:
    models = [name for name, page in PAGES.items() if rule.name in _ops(page.module)]
    rules = [other for other in RULES if _imports(other, rule)]
    parts = []
    if models:
        links = [frame.link(f"../networks/{name}.html", name) for name in models]
        parts.append(f"<p>Networks: {', '.join(links)}.</p>")
    if rules:
        links = [frame.link(f"{r.name}.html", r.name, code=True) for r in rules]
        parts.append(f"<p>Rules that import from its file: {', '.join(links)}.</p>")
    if not parts:
        return "<p>No network of the library reads it; it is there for yours.</p>"
    return "".join(parts)


@cache
def _ops(module: ModuleType) -> frozenset[str]:
    """Names of the rules that a network calls, as ops.batchnorm, by itself or by the
    common parts of the networks that it imports."""
    common = [f for f in vars(module).values() if _is_common(f)]
    return frozenset().union(*map(_named_rules, (module, *common)))


def _is_common(f: Any) -> bool:
    return inspect.isfunction(f) and f.__module__.startswith(common_parts.__name__)


def _named_rules(code: Any) -> set[str]:
    tree = ast.walk(ast.parse(inspect.getsource(code)))
    calls = [node for node in tree if isinstance(node, ast.Attribute)]
    return {n.attr for n in calls if getattr(n.value, "id", "") in ("ops", "manual")}


def _imports(other: Rule, rule: Rule) -> bool:
    if other.name == rule.name:
        return False
    return module_of(rule).__name__ in {*_imported(module_of(other))}


@cache
def _imported(module: ModuleType) -> tuple[str, ...]:
    return tuple(_names(ast.parse(inspect.getsource(module))))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
