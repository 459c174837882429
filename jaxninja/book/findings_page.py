"""What the checker finds, by code: an example that gives it, its words, and a mend.

The examples stand in text/findings.md. Each is run for the page, so what the page says
of it is what the checker said just now.
"""

import linecache
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxninja.book import frame, markup
from jaxninja.check import check_vjp
from jaxninja.check.errors import UserCodeError

_FILE = Path(__file__).parent / "text" / "findings.md"

BASE = """import jax
import jax.numpy as jnp
import numpy as np
from jaxninja import check_vjp

x, w = jnp.array([0.5, -1.2, 2.0]), jnp.array([1.5, 0.7, -0.4])
args, nondiff, level = (x, w), (), "quick"


def plain(x, w):
    return x * w


def fwd(x, w):
    return x * w, (x, w)


def bwd(res, dy):
    x, w = res
    return dy * w, dy * x
"""
CHECK = """subject = jax.custom_vjp(plain, nondiff_argnums=nondiff)
subject.defvjp(fwd, bwd)
print(check_vjp(subject, *args, level=level))
"""
KINDS = {
    "E": ("Errors", "The rule is wrong, or does not fit; the verdict is fail."),
    "W": ("Warnings", "The rule is right, but somebody will stumble over this."),
    "N": ("Not tested", "Nothing could be tested; that does not count as right."),
}


class Example(NamedTuple):
    """A section of text/findings.md."""

    code: str
    what: str
    wrong: str
    mend: str
    right: str


@cache
def examples() -> tuple[Example, ...]:
    """In the order of the file."""
    sections = f"\n{_FILE.read_text(encoding='utf-8')}".split("\n## ")[1:]
    return tuple(map(_example, sections))


def _example(section: str) -> Example:
    code, _, text = section.partition("\n")
    what, wrong, rest = text.split("```", 2)
    mend, right, _ = rest.split("```", 2)
    snippets = [part.removeprefix("python\n") for part in (wrong, right)]
    return Example(code, what.strip(), snippets[0], mend.strip(), snippets[1])


def run(example: Example, text: str) -> dict[str, str]:
    """Code -> sentence of all that a check of this text finds."""
    names: dict[str, Any] = {}
    _execute(BASE, "base.py", names)
    _execute(text, f"{example.code}.py", names)
    subject = names.get("subject") or _ruled(names)
    try:
        report = check_vjp(subject, *names["args"], level=names["level"], hints=False)
    except UserCodeError as error:
        return {error.code: error.sentence}
    return {finding.code: finding.sentence for finding in report.findings}


def _execute(text: str, name: str, names: dict[str, Any]) -> None:
    """As a file of that name, whose lines a report can quote."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), names)


def _ruled(names: dict[str, Any]) -> Any:
    op = jax.custom_vjp(names["plain"], nondiff_argnums=names["nondiff"])
    op.defvjp(names["fwd"], names["bwd"])
    return op


def page() -> frame.Page:
    """All codes, errors first."""
    parts = [
        "<h1>What the checker finds</h1>",
        '<p class="lead">Each finding has a code. Here is what it means, a rule that '
        "gives it, what the checker says of that rule, and how to mend it.</p>",
        frame.chips_to((f"#{e.code}", e.code) for e in examples()),
        "<p>Every example changes a part of this rule, which is right; then it is "
        "checked:</p>",
        f'<div class="beside"><div>{markup.code(BASE)}</div>'
        f"<div>{markup.code(CHECK)}</div></div>",
    ]
    for letter, (title, meaning) in KINDS.items():
        parts.append(f"<h2>{title}</h2><p>{meaning}</p>")
        parts += [_section(e) for e in examples() if e.code.startswith(letter)]
    return frame.Page("findings.html", "Findings", "".join(parts))


def _section(example: Example) -> str:
    said = run(example, example.wrong)
    sentence = f"{example.code}: {said.get(example.code, 'not found')}"
    return (
        f'<section class="symbol" id="{example.code}"><h3>{example.code}</h3>'
        f"{markup.markdown(example.what)}"
        f'<div class="beside"><div>{markup.code(example.wrong)}'
        f'<pre class="said">{escape(sentence)}</pre></div>'
        f"<div>{markup.code(example.right)}{markup.markdown(example.mend)}</div></div>"
        "</section>"
    )
