"""A run by itself as HTML: what matters at a glance, its topics, its configuration."""

from collections.abc import Iterator
from typing import Any

from jaxninja.report import figures, markup
from jaxninja.report.command import written
from jaxninja.report.finding import Finding
from jaxninja.report.gathered import Gathered
from jaxninja.report.markup import escape
from jaxninja.report.parts import count, loss, value
from jaxninja.report.verdicts import findings

LOSSES = {
    "val_loss": "val",
    "train_loss": "train",
    "clean_val_loss": "clean val",
    "test_loss": "test",
}
SHOWN = 12  # items of the samples at a glance
CHARACTERS = 300  # of a text


def glance(found: Gathered, said: list[Finding], key: str) -> str:
    """Losses, verdicts with links, samples: what one looks for first."""
    cards = (_losses(found), _verdicts(said, key), _few_samples(found))
    inside = "".join(f'<div class="card">{card}</div>' for card in cards if card)
    return f'<div class="glance">{inside}</div>'


def facts(found: Gathered) -> str:
    """Date, model, data, versions, and the command that makes the run again."""
    config, versions = found.config, found.versions
    size = (found.result or {}).get("parameters")
    made = [
        versions.get("date"),
        f"model {config.get('model', 'ninja')}, route {config.get('route')}",
        f"{count(size)} parameters" if size else None,
        f"data {config.get('data')}",
        *(
            f"{name} {versions[name]}"
            for name in ("jaxninja", "jax")
            if name in versions
        ),
    ]
    line = " · ".join(escape(str(part)) for part in made if part)
    command = escape(written(config))
    return f'<p class="facts">{line}</p><pre class="command">{command}</pre>'


def body(found: Gathered, key: str) -> tuple[str, list[Finding]]:
    """All topics of a run, its samples and configuration; and its findings."""
    parts: list[str] = []
    drawn = markup.drawn(figures.parts(found), key, found.problems)
    said = findings(found)
    parts += [*markup.topics(drawn, said, key), _samples(found), _config(found)]
    return "".join(parts), said


def _losses(found: Gathered) -> str:
    if found.result is None:
        reached = found.metrics[-1] if found.metrics else None
        at = f"step {reached['step']:,}" if reached else "step 0"
        last = f", train {loss(reached['train_loss'])}" if reached else ""
        return f"<h2>Losses</h2><p>No result yet: {at}{last}.</p>"
    result: Any = found.result
    rows = [
        f"<div><dt>{word}</dt><dd>{loss(result[name])}</dd></div>"
        for name, word in LOSSES.items()
        if name in result
    ]
    calibrated = found.run is not None and bool(found.run.state.statistics)
    nats = "nats" + ", batchnorm calibrated" * calibrated
    rate = result.get("steps_per_second")
    speed = f", {rate:,.0f} steps/s" if rate else ""
    took = f"{count(result['steps'])} steps in {result['seconds']:.1f} s{speed}"
    return (
        f'<h2>Losses</h2><dl class="losses">{"".join(rows)}</dl><p>{nats}; {took}</p>'
    )


def _verdicts(said: list[Finding], key: str) -> str:
    return f"<h2>Verdicts</h2>{markup.counts(said, key)}{markup.grave(said, key)}"


def _few_samples(found: Gathered) -> str:
    if not found.samples:
        return ""
    if found.config.get("tokenizer"):
        text = found.samples[:CHARACTERS] + "…" * (len(found.samples) > CHARACTERS)
        return f'<h2>Samples</h2><pre class="few">{markup.lines(text)}</pre>'
    items = found.samples.split("\n")
    few = "&nbsp;· ".join(escape(item) for item in items[:SHOWN])
    return f"<h2>Samples</h2><p>{few}</p>"


def _samples(found: Gathered) -> str:
    if not found.samples:
        return ""
    if found.config.get("tokenizer"):  # texts, whose lines belong together
        inside = f"<pre>{markup.lines(found.samples)}</pre>"
    else:
        items = "".join(f"<li>{escape(i)}</li>" for i in found.samples.split("\n"))
        inside = f'<ul class="samples">{items}</ul>'
    inside = f"<summary>All samples</summary>{inside}"
    return f'<details class="whole">{inside}</details>'


def _config(found: Gathered) -> str:
    tables = "".join(_tables(found))
    inside = f"<summary>Configuration</summary><div>{tables}</div>"
    return f'<details class="whole">{inside}</details>'


def _tables(found: Gathered) -> Iterator[str]:
    rows = [(name, value(given)) for name, given in found.config.items()]
    yield markup.table(("option", "value"), rows)
    if found.result is not None:
        rows = [(n.replace("_", " "), value(v)) for n, v in found.result.items()]
        yield markup.table(("result", "losses in nats"), rows)
    if found.versions:
        made_with = [(name, value(given)) for name, given in found.versions.items()]
        yield markup.table(("", "made with"), made_with)
