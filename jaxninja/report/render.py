"""The report as one HTML file: no network, readable on a phone and without a script."""

import base64
import hashlib
from collections.abc import Sequence

from jaxninja.report import compared, markup, single
from jaxninja.report.finding import Finding
from jaxninja.report.gathered import Gathered
from jaxninja.report.markup import escape
from jaxninja.report.parts import TOPICS, Table
from jaxninja.report.script import SCRIPT
from jaxninja.report.style import CSS
from jaxninja.report.verdicts import findings
from jaxninja.training.machine import settings

DETAILED = 8  # runs that are shown by themselves as well


@settings.fixed()
def page(runs: Sequence[Gathered], spread: Table | None = None) -> str:
    """The HTML of a report on one run or several.

    Args:
        runs: as gathered; of the first `DETAILED` with a network there are details.
        spread: of a sweep, its losses for each learning rate.
    """
    names = ", ".join(found.name for found in runs[:4]) + ", …" * (len(runs) > 4)
    body = _one(runs[0]) if len(runs) == 1 else _several(runs, spread)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
            '<link rel="icon" href="data:,">',
            f"<title>jaxninja: {escape(names)}</title><style>{CSS}</style></head>",
            f"<body>{body}<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _policy() -> str:
    """Nothing is loaded; the one script is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    allowed = "img-src data:; style-src 'unsafe-inline'"
    return f"default-src 'none'; {allowed}; script-src 'sha256-{digest}'"


def _one(found: Gathered) -> str:
    body, said = single.body(found, "r0")  # first, since it may add to the problems
    return (
        f"<header><h1>{escape(found.name)}</h1>{single.facts(found)}"
        f"{markup.problems(found)}{single.glance(found, said, 'r0')}</header>"
        f'<div class="topics">{body}</div>'
    )


def _several(runs: Sequence[Gathered], spread: Table | None) -> str:
    """The table of all, their curves over each other, and each by itself."""
    named = compared.labelled(runs)
    said = {name: findings(found) for name, found in named.items()}
    keys = {name: f"r{n}" for n, name in enumerate(named)}
    shown = [n for n, found in named.items() if found.detailed][:DETAILED]
    details = [_detail(name, named[name], keys[name]) for name in shown]
    broken: list[str] = []
    drawn = markup.drawn(compared.parts(named), "all", broken)
    topics = "".join(markup.topics(drawn, [], "all"))
    problems = "".join(f"<p>{escape(text)}</p>" for text in broken)
    return (
        f"<header><h1>{len(runs)} runs</h1>{_results(named, said, keys, shown)}"
        f"{markup.figure_of_table(spread) if spread else ''}</header>"
        f'<div class="topics" id="all">{_hide(named)}{problems}{topics}'
        f"{_verdicts(said, keys, shown)}{_differences(named)}</div>"
        f"<h2>Each run by itself</h2>{''.join(details)}{_others(named, shown)}"
    )


def _results(named, said, keys, shown) -> str:
    """A row for each run: losses, the least val in bold, how many findings, samples."""
    made = compared.results(named)
    best = min((v for v in map(_val, named.values()) if v is not None), default=None)
    losses = len(compared.LOSSES)
    rows = []
    for name, row in zip(named, made.rows, strict=True):
        first, *cells = map(escape, row)
        key = keys[name] if name in shown else None
        link = f'<a href="#{key}">{first}</a>' if key else first
        if _val(named[name]) == best is not None:
            cells[0] = f"<b>{cells[0]}</b>"
        judged = [markup.counted(said[name], mark, key) for mark in markup.MARKS]
        sampled = escape(_samples(named[name]))
        rows.append((link, *cells[:losses], *judged, *cells[losses:], sampled))
    head = (*made.head[: losses + 1], *markup.MARKS, *made.head[losses + 1 :])
    head = (*head, "samples")
    if not any(row[-1] for row in rows):  # as of a sweep
        head, rows = head[:-1], [row[:-1] for row in rows]
    table = markup.raw_table(map(escape, head), rows)
    return f'<figure class="numbers">{table}</figure>'


def _val(found: Gathered) -> float | None:
    return (found.result or {}).get("val_loss")


def _samples(found: Gathered, most: int = 4) -> str:
    """A few of the items that a run invents; a text has no room here."""
    text = bool(found.config.get("tokenizer"))
    return "" if text else ", ".join((found.samples or "").split("\n")[:most])


def _verdicts(said: dict[str, list[Finding]], keys, shown) -> str:
    """The gravest finding of each run on each topic, as a link to it."""
    rows = []
    for topic, heading in TOPICS.items():
        cells = [_gravest(said[n], topic, keys[n], n in shown) for n in said]
        if any(cells):
            rows.append((heading, *cells))
    table = markup.raw_table(map(escape, ("", *said)), rows)
    many = ' class="whole"' * (len(said) > 4)
    return f"<section{many}><h3>Verdicts</h3>{table}</section>" if rows else ""


def _gravest(said: list[Finding], topic: str, key: str, linked: bool) -> str:
    for level in reversed(markup.MARKS):
        for n, finding in enumerate(said):
            if (finding.topic, finding.level) == (topic, level):
                text = markup.MARKS[level]
                inside = f'<a href="#{markup.place(key, n)}">{text}</a>'
                mark = inside if linked else text
                return f'<span class="count {level}">{mark}</span>'
    return ""


def _differences(named: compared.Runs) -> str:
    made = compared.differences(named)
    heading = "<h3>Options that differ</h3>"
    table = markup.table(made.head, made.rows)
    return f'<section class="whole">{heading}{table}</section>' if made.rows else ""


def _hide(named: compared.Runs) -> str:
    """A box for each run; the script shows them and lets them hide its curves."""
    boxes = "".join(
        f'<label><input type="checkbox" checked data-curve="curve-{n}"> '
        f"{escape(name)}</label> "
        for n, name in enumerate(named)
    )
    return f'<p class="boxes whole" hidden>{boxes}</p>'


def _detail(name: str, found: Gathered, key: str) -> str:
    body, said = single.body(found, key)
    return (
        f'<details class="run" id="{key}"><summary>{escape(name)}</summary>'
        f"{single.facts(found)}{markup.problems(found)}"
        f'{single.glance(found, said, key)}<div class="topics">{body}</div></details>'
    )


def _others(named: compared.Runs, shown: list[str]) -> str:
    rest = [found for name, found in named.items() if name not in shown]
    if not rest:
        return ""
    command = escape(f"jaxninja report {rest[0].path}")
    return (
        f"<p>{len(rest)} more have a page of their own by <code>{command}</code>.</p>"
    )
