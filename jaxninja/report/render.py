"""The report as one HTML file: no script, no network, readable on a phone."""

from collections.abc import Iterator, Sequence
from html import escape as escape_markup
from typing import Any

from jaxninja.escaping import printable, printable_lines
from jaxninja.report.figures import Picture, compared, labelled, pictures
from jaxninja.report.gathered import Gathered
from jaxninja.report.style import CSS
from jaxninja.report.verdicts import Finding, findings
from jaxninja.training.machine import settings

TOPICS = {
    "loss": "Loss",
    "start": "At the start",
    "activations": "Activations",
    "gradients": "Gradients",
    "updates": "Updates",
    "clipping": "Norm and clipping of the gradient",
    "batchnorm": "Batchnorm",
    "forces": "Push and pull on the logits",
    "attention": "Attention",
    "embedding": "Embedding",
}
# What a figure shows and how it looks when all is well.
READ = {
    "loss": "Each point is the mean over an interval. Healthy: falling, then flat.",
    "start": "Healthy: a loss near log V, and activations away from their ends.",
    "activations": "Healthy: layers alike, values away from the flat ends of the "
    "function, and no white column in the map (a unit that no example reaches).",
    "gradients": "Healthy: layers alike; neither a spike at zero nor wider and wider.",
    "updates": "log10 of how much a step moves the weights. Healthy: about -3.",
    "clipping": "Healthy: no outliers, or a limit that cuts off a few.",
    "batchnorm": "Healthy: falling to a few per cent, the noise of the 1,024 examples "
    "that stand for the training set.",
    "forces": "A row is an example and sums to zero: dark pulls its target up, light "
    "pushes the others down, by their probability.",
    "attention": "A row is a place and sums to one over the places up to it: dark "
    "is where it looks. Heads that look alike do the same work twice.",
    "embedding": "Symbols that serve alike drift together, as vowels do.",
}
MARKS = {"good": "✓ good", "watch": "! watch", "act": "✗ act"}


def escape(text: str) -> str:
    """Text as HTML that shows it, whatever it holds."""
    return escape_markup(printable(text))


@settings.fixed()
def page(runs: Sequence[Gathered]) -> str:
    """The HTML of a report on one run or several."""
    names = ", ".join(found.name for found in runs)
    sections = [_run(found) for found in runs]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'; img-src data:; style-src 'unsafe-inline'\">",
        '<link rel="icon" href="data:,">',
        f"<title>jaxninja: {escape(names)}</title><style>{CSS}</style></head><body>",
        f"<header><h1>What training did: {escape(names)}</h1></header>",
        _comparison(runs) if len(runs) > 1 else "",
        f'<main class="runs">{"".join(sections)}</main></body></html>\n',
    ]
    return "".join(parts)


def _run(found: Gathered) -> str:
    drawn = list(pictures(found))  # first, since it may add to the problems
    said = findings(found)
    body = [f'<section class="run"><h2>{escape(found.name)}</h2>', _problems(found)]
    body += [_results(found), *_topics(drawn, said)]
    body += [_samples(found), _config(found), "</section>"]
    return "".join(body)


def _problems(found: Gathered) -> str:
    items = "".join(f"<li>{escape(problem)}</li>" for problem in found.problems)
    return f'<ul class="problems">{items}</ul>' if items else ""


def _results(found: Gathered) -> str:
    if found.result is None:
        return ""
    rows = [
        (name.replace("_", " "), _value(value))
        for name, value in found.result.items()
        if name.endswith("_loss") or name in ("parameters", "steps", "seconds")
    ]
    calibrated = found.run is not None and bool(found.run.state.statistics)
    head = "losses in nats" + ", batchnorm calibrated" * calibrated
    return "<h3>Result</h3>" + _table(("", head), rows)


def _topics(drawn: list[Picture], said: list[Finding]) -> Iterator[str]:
    for topic, heading in TOPICS.items():
        images = [p for p in drawn if p.topic == topic]
        sentences = [s for s in said if s.topic == topic]
        if images or sentences:
            yield f'<h3 id="{topic}">{heading}</h3><p>{escape(READ[topic])}</p>'
            yield "".join(map(_finding, sentences))
            yield "".join(map(_image, images))


def _finding(finding: Finding) -> str:
    todo = f" <b>To do:</b> {escape(finding.todo)}" if finding.todo else ""
    mark = f'<span class="mark">{MARKS[finding.level]}</span>'
    return f'<p class="{finding.level}">{mark} {escape(finding.text)}{todo}</p>'


def _image(picture: Picture) -> str:
    alt = escape(picture.alt)
    source = f"data:image/png;base64,{picture.png}"
    return f'<figure><img alt="{alt}" src="{source}"></figure>'


def _samples(found: Gathered) -> str:
    if not found.samples:
        return ""
    if found.config.get("tokenizer"):  # texts, whose lines belong together
        text = escape_markup(printable_lines(found.samples))
        return f"<h3>Samples</h3><pre>{text}</pre>"
    items = "".join(f"<li>{escape(item)}</li>" for item in found.samples.split("\n"))
    return f'<h3>Samples</h3><ul class="samples">{items}</ul>'


def _config(found: Gathered) -> str:
    rows = [(name, _value(value)) for name, value in found.config.items()]
    table = _table(("option", "value"), rows)
    made_with = [(name, _value(value)) for name, value in found.versions.items()]
    versions = _table(("", "version"), made_with) if made_with else ""
    summary = "<summary>Configuration</summary>"
    return f"<details>{summary}{table}{versions}</details>"


LOSSES = ("train_loss", "val_loss", "clean_val_loss", "test_loss")


def _comparison(runs: Sequence[Gathered]) -> str:
    """A row for each run, the curves of all, and the options in which they differ."""
    head = ("run", "model", "parameters", "steps", "seconds")
    head += tuple(name.removesuffix("_loss").replace("_", " ") for name in LOSSES)
    rows = [_row(label, found) for label, found in labelled(runs).items()]
    images = "".join(map(_image, compared(runs)))
    return (
        f"<section><h2>Side by side</h2>{_table(head, rows)}"
        f"<p>{escape(READ['loss'])}</p>{images}{_differences(runs)}</section>"
    )


def _row(label: str, found: Gathered) -> tuple[str, ...]:
    """Size, time and losses of a run; one that has not ended has its steps so far."""
    result: Any = found.result or {}
    reached = found.metrics[-1]["step"] if found.metrics else 0
    seconds = result.get("seconds")
    numbers = (
        _count(result.get("parameters")),
        _count(result.get("steps", reached)),
        "none" if seconds is None else f"{seconds:.1f}",
        *(_loss(result.get(name)) for name in LOSSES),
    )
    return label, str(found.config.get("model", "ninja")), *numbers


def _count(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _loss(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _differences(runs: Sequence[Gathered]) -> str:
    """The options that differ, a column for each run."""
    rows = []
    for name in dict.fromkeys(k for found in runs for k in found.config):
        values = [found.config.get(name) for found in runs]
        if any(value != values[0] for value in values) and name != "name":
            rows.append((name, *map(_value, values)))
    return _table(("", *labelled(runs)), rows) if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [
        f"<tr><th>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    ]
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
