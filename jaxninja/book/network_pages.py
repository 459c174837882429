"""A page for each whole network: what it computes, and its backward pass by hand."""

import inspect
from dataclasses import MISSING, fields
from html import escape
from types import ModuleType

from jaxninja.book import frame, markup
from jaxninja.book.mathematics import derivation
from jaxninja.models.network import PAGES, Page


def pages() -> list[frame.Page]:
    """The table first, then the networks."""
    each = [_page(name, page) for name, page in PAGES.items()]
    index = frame.Page("networks/index.html", "Networks", _index())
    return [index, *frame.chained(each)]


def _index() -> str:
    rows = [_row(name, page) for name, page in PAGES.items()]
    head = ("network", "what it is", "predicts", "whole backward pass")
    return (
        f"<h1>The {len(PAGES)} networks</h1>"
        '<p class="lead">Each is a page of pure functions. Its gradient comes from the '
        "rules of its layers, or from a whole backward pass written by hand, in which "
        "no autodiff is used.</p>" + frame.table(head, rows, "stacked")
    )


def _row(name: str, page: Page) -> tuple[str, ...]:
    what = derivation.title(inspect.getdoc(page.module) or "")
    predicts = "every symbol" if page.reads_sequences else "the one after a window"
    by_hand = "by hand" if page.by_hand else "by its rules only"
    return (
        frame.link(f"{name}.html", name, code=True),
        what,
        predicts,
        by_hand,
    )


def _page(name: str, page: Page) -> frame.Page:
    doc = inspect.getdoc(page.module) or ""
    parts = [
        f'<h1>{name}</h1><p class="lead">{derivation.title(doc)}</p>',
        derivation.body(doc, mathematics=False),
        f"<p>Train it: <code>jaxninja train --model {name}</code></p>",
        f"<h2>Sizes</h2>{_sizes(page.sizes)}",
        f"<h2>Forward and backward</h2>{_sides(page)}",
    ]
    return frame.Page(f"networks/{name}.html", name, "".join(parts))


def _sides(page: Page) -> str:
    if page.by_hand is None:
        text = (
            "Any number of layers, so its backward pass is that of its rules: "
            "<code>jax.grad</code> goes through them."
        )
        return f"<p>{text}</p><div>{_code(page.module)}</div>"
    doc = inspect.getdoc(page.by_hand) or ""
    return (
        f"<p>{derivation.title(doc)}</p>"
        f"{derivation.body(doc, mathematics=False)}"
        f'<div class="beside"><div><h3>Forward</h3>{_code(page.module)}</div>'
        f"<div><h3>Backward</h3>{_code(page.by_hand)}</div></div>"
    )


def _code(module: ModuleType) -> str:
    """The file without its docstring, which stands above."""
    source = inspect.getsource(module)
    rest = source.split('"""', 2)[-1].strip("\n")
    return markup.code(rest)


def _sizes(sizes: type) -> str:
    rows = [
        (f"<code>{f.name}</code>", f"<code>{escape(_default(f))}</code>")
        for f in fields(sizes)  # type: ignore[arg-type]
    ]
    text = derivation.title(inspect.getdoc(sizes) or "")
    return f"<p>{text}</p>" + frame.table(("option", "default"), rows)


def _default(field) -> str:
    if field.default is not MISSING:
        return repr(field.default)
    return "made anew" if field.default_factory is not MISSING else "must be given"
