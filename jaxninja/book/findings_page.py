"""What the checker finds, by code: an example that gives it, its words, and a fix.

The examples stand in text/findings.md. Each is run for the page, so what the page says
of it is what the checker said just now.
"""

import linecache
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxninja.book import frame, markup
from jaxninja.check import Report, check_vjp
from jaxninja.check.hints import TEMPLATES
from jaxninja.check.subject.time_limit import within

_TEXT = Path(__file__).parent / "text"

BASE = """import jax
import jax.numpy as jnp
import numpy as np
from jaxninja import check_vjp

x, w = jnp.array([0.5, -1.2, 2.0]), jnp.array([1.5, 0.7, -0.4])
args, nondiff, level, double = (x, w), (), "quick", False


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
with jax.enable_x64(double):
    print(check_vjp(subject, *args, level=level))
"""
SECONDS = 0.2  # for the loop of N-ENDLESS: a reader need not wait
KINDS = {
    "E": ("Errors", "The rule is wrong, or does not fit; the verdict is fail."),
    "W": ("Warnings", "The rule is right, but somebody will stumble over this."),
    "N": ("Not tested", "Nothing could be tested; that does not count as right."),
}
HINTS = (
    "Where a gradient is wrong, the checker looks for the mistake that fits, and tries "
    "it on fresh inputs before it says so. Some of them:"
)


class Example(NamedTuple):
    """A section of one of the texts."""

    code: str
    what: str
    wrong: str
    fix: str
    right: str

    @property
    def is_hint(self) -> bool:
        """Whether its code is that of a hint, and not of a finding."""
        return self.code[:2] not in ("E-", "W-", "N-")


@cache
def examples(name: str = "findings") -> tuple[Example, ...]:
    """In the order of text/findings.md, or of text/hints.md."""
    text = (_TEXT / f"{name}.md").read_text(encoding="utf-8")
    return tuple(map(_example, f"\n{text}".split("\n## ")[1:]))


def _example(section: str) -> Example:
    code, _, text = section.partition("\n")
    what, wrong, rest = text.split("```", 2)
    fix, right, _ = rest.split("```", 2)
    wrong, right = (part.removeprefix("python\n") for part in (wrong, right))
    return Example(code, what.strip(), wrong, fix.strip(), right)


def said(example: Example) -> str:
    """What a check of its wrong rule says under its code."""
    found = sentences_of(check(example, example.wrong))
    if example.code not in found:
        raise LookupError(f"the example of {example.code} gives {list(found)}")
    return found[example.code]


def sentences_of(report: Report) -> dict[str, str]:
    """Code -> sentence, of findings and hints."""
    findings = {finding.code: str(finding) for finding in report.findings}
    return findings | {hint.statement.code: str(hint) for hint in report.hints}


def check(example: Example, text: str) -> Report:
    """The report on the rule that a text of an example makes of the common one."""
    names: dict[str, Any] = {}
    _execute(BASE, "base.py", names)
    file = re.sub(r"\W+", "_", example.code).lower()
    _execute(text, f"{file}.py", names)
    subject = names.get("subject") or _ruled(names)
    args, level = names["args"], names["level"]
    with jax.enable_x64(names["double"]), within(SECONDS):
        return check_vjp(subject, *args, level=level, hints=example.is_hint)


def _execute(text: str, name: str, names: dict[str, Any]) -> None:
    """As a file of that name, whose lines a report can quote."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), names)


def _ruled(names: dict[str, Any]) -> Any:
    op = jax.custom_vjp(names["plain"], nondiff_argnums=names["nondiff"])
    op.defvjp(names["fwd"], names["bwd"])
    return op


def page() -> frame.Page:
    """All codes, errors first, and then what fits a wrong gradient."""
    parts = [
        "<h1>What the checker finds</h1>",
        '<p class="lead">Each finding has a code. Here is what it means, a rule that '
        "gives it, what the checker says of that rule, and how to fix it.</p>",
        frame.chips_to((f"#{e.code}", e.code) for e in examples()),
        "<p>Every example changes a part of this rule, which is right; then it is "
        "checked:</p>",
        f'<div class="beside"><div>{markup.code(BASE)}</div>'
        f"<div>{markup.code(CHECK)}</div></div>",
    ]
    for letter, (title, meaning) in KINDS.items():
        parts.append(f"<h2>{title}</h2><p>{meaning}</p>")
        parts += [_section(e) for e in examples() if e.code.startswith(letter)]
    return frame.Page("findings.html", "Findings", "".join([*parts, _hints()]))


def _hints() -> str:
    """Examples, and the list of all that a hint may say."""
    parts = [f'<h2 id="hints">Hints</h2><p>{HINTS}</p>']
    parts += map(_section, examples("hints"))
    rows = [(escape(code), _template(text)) for code, text in templates()]
    table = frame.table(("code", "what is said"), rows)
    return "".join([*parts, "<h3>All that a hint may say</h3>", table])


def templates() -> Iterator[tuple[str, str]]:
    """Codes and templates of the hints that are whole sentences on gradients."""
    for code, text in TEMPLATES.items():
        if "{leaf}" in text or "{leaves" in text:
            yield code, text


def _template(text: str) -> str:
    """A template with its places in italics, d{leaf} as dx."""
    text = escape(re.sub(r"\{leaves:?(\w*)[^}]*\}", r"dx \1", text))
    text = text.replace("d{leaf}", "dx").replace("d{other}", "dy").replace(" :", ":")
    return re.sub(r"\{(\w+)\}", r"<i>\1</i>", text)


def anchor(example: Example) -> str:
    """The name to link to."""
    return example.code.replace(" ", "-").replace(",", "")


def _section(example: Example) -> str:
    return (
        f'<section class="symbol" id="{anchor(example)}">'
        f"<h3>{escape(example.code)}</h3>{markup.markdown(example.what)}"
        f'<div class="beside"><div><p class="soft">Wrong</p>'
        f"{markup.code(example.wrong)}"
        f'<pre class="said">{escape(said(example))}</pre></div>'
        f'<div><p class="soft">Fixed</p>{markup.code(example.right)}'
        f"{markup.markdown(example.fix)}</div></div>"
        "</section>"
    )
