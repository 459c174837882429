"""What can be drawn of one run, topic by topic; where numbers say more, a table."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja import plots
from jaxninja.data.text import IGNORED, DataError, Vocabulary
from jaxninja.intermediates import statistics
from jaxninja.models import network
from jaxninja.plots import loss, over_time
from jaxninja.plots.style import spread
from jaxninja.report.gathered import Gathered
from jaxninja.report.layers import kind_of
from jaxninja.report.parts import Picture, Table, number
from jaxninja.report.parts import over_time as course
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Diagnosis

LAYERS = 8  # whose distributions one figure holds
PLACES = 12  # of a text whose attention is shown


def parts(found: Gathered) -> Iterator[Picture | Table]:
    """All that there is to see of a run."""
    drawn: list[Picture | Table | None] = []
    if found.metrics:
        drawn += _losses(found)
    if found.diagnostics:
        drawn += _of_diagnostics(found, found.diagnostics)
    if found.run is not None:
        drawn += _of_network(found.run)
    yield from (part for part in drawn if part is not None)


def _losses(found: Gathered) -> Iterator[Picture | Table | None]:
    one = {found.name: found.metrics}
    courses = loss.losses(one)
    whole = course(
        "loss", "the training loss", courses, lambda: plots.losses_of_runs(one)
    )
    yield whole
    if isinstance(whole, Picture) and loss.band(courses):
        close = "the losses, a close-up"
        yield Picture("loss", close, lambda: plots.losses_of_runs(one, close=True))


def _of_diagnostics(
    found: Gathered, lines: Sequence[Diagnosis]
) -> Iterator[Picture | Table | None]:
    last, clip = lines[-1], found.config.get("clip")
    groups = by_kind(found, last)
    if lines[0]["step"] == 0 and len(lines) > 1:
        for kind, names in groups.items():
            alt = f"the activations before the first step{kind}"
            yield Picture("start", alt, lambda n=names: plots.activations(lines[0], n))
    if groups:  # a table of logits has no layer
        yield by_layer(found, last)
    for kind, names in groups.items():
        alt = f"the activations{kind}"
        yield Picture("activations", alt, lambda n=names: plots.activations(last, n))
        alt = f"the gradients by layer{kind}"
        yield Picture("gradients", alt, lambda n=names: plots.gradients(last, n))
    alt = "the gradients of the weights"
    yield Picture("gradients", alt, lambda: plots.weight_gradients(last))
    moves, draw = over_time.updates(lines), lambda: plots.update_ratios(lines)
    yield course("updates", "the update:data ratios", moves, draw)
    norms = [over_time.norm("norm", lines, 0)]
    draw = lambda: plots.gradient_norms(lines, clip)  # noqa: E731
    yield course("clipping", "the norm of the gradient", norms, draw)
    gaps, alt = over_time.gaps(lines), "running against calibrated statistics"
    yield course("batchnorm", alt, gaps, lambda: plots.batchnorm_gaps(lines))


def by_kind(found: Gathered, line: Diagnosis) -> dict[str, list[str]]:
    """Layers by what they compute, of each kind `LAYERS` at most, evenly spread.

    The key is a word for the figure, nothing if there is one kind only.
    """
    groups: dict[str, list[str]] = {}
    for name in (n for n in line["activations"] if n != "logits"):
        groups.setdefault(kind_of(found, name), []).append(name)
    words = {
        kind: f", {kind or 'others'}" if len(groups) > 1 else "" for kind in groups
    }
    return {
        words[kind]: [names[i] for i in spread(len(names), LAYERS)]
        for kind, names in groups.items()
    }


def by_layer(found: Gathered, line: Diagnosis) -> Table:
    """The statistics of each layer or block, and of the gradient there."""
    rows = []
    for name, stats in line["activations"].items():
        flat = stats["saturated"]
        dead = found.dead.get(name)
        slope = line["gradients"].get(name)
        rows.append(
            (
                name,
                kind_of(found, name) if name in found.kinds else "",
                number(stats["mean"]),
                number(stats["std"]),
                ""
                if flat is None or kind_of(found, name) == "residual"
                else f"{flat:.1%}",
                f"{dead[0]} of {dead[1]}" if dead else "",
                number(slope["std"]) if slope else "",
            )
        )
    head = ("layer", "what", "mean", "std", "flat", "dead units", "gradient's std")
    return Table("activations", f"statistics at step {line['step']:,}", head, rows)


def _of_network(run: Run) -> Iterator[Picture | Table]:
    if hasattr(network.of(run.model), "attention_maps"):
        maps, read = attention(run)
        alt = f"what the places of {''.join(read[1:])!r} attend to"
        if np.isfinite(maps).all():  # a network of NaN looks nowhere
            yield Picture("attention", alt, lambda: plots.attention_maps(maps, read))
    if not isinstance(run.vocabulary, Vocabulary):
        return  # a model of running text never holds its logits, and names no units
    shown = [run.vocabulary.show([i]) for i in range(len(run.vocabulary))]
    named, dlogits = forces(run)
    for name, kind in network.of(run.model).activations(run.model).items():
        flat = np.asarray(statistics.flat(named[name], kind, statistics.DEAD))
        what = f"where the units of {name} are flat"
        if flat.any():
            yield Picture(
                "activations", what, lambda f=flat, n=name: plots.dead_units(f, n)
            )
    alt = "the gradient of the logits"
    yield Picture("forces", alt, lambda: plots.dlogits(np.asarray(dlogits), shown))
    if "C" in run.params:
        C = np.asarray(run.params["C"])
        yield Picture("embedding", "the embedding", lambda: plots.embedding(C, shown))


def attention(run: Run) -> tuple[np.ndarray, list[str]]:
    """The attention maps [L, H, T, T] of an item or the first tokens of val, and what
    is read at each of its T places, by number where the tokenizer's files are gone; an
    item begins with the boundary."""
    x, y = run.dataset.val
    items = isinstance(run.vocabulary, Vocabulary)
    length = int((y[0] != IGNORED).sum()) if items else PLACES
    ids = x[:1, :length]
    maps = network.of(run.model).attention_maps(run.params, jnp.asarray(ids), run.model)
    show = run.vocabulary.show if items else run.vocabulary.decode  # type: ignore
    try:
        read = [show([i]) for i in ids[0].tolist()]
    except DataError:  # the tokenizer's files are gone
        read = [f" {i}" for i in ids[0].tolist()]
    return np.asarray(maps[:, 0]), read


def forces(run: Run) -> tuple[dict[str, jax.Array], jax.Array]:
    """Intermediates of the next batch, and dlogits: what pushes and pulls each.

    A row for each prediction, without those that padding makes none of.
    """
    ids, labels = run.batch(run.step)
    named = network.intermediates(run.params, ids, labels, run.model)
    counted = np.asarray(labels) != IGNORED
    if counted.ndim > 1:
        same = {k: a for k, a in named.items() if a.shape[:2] == counted.shape}
        named |= {k: a[counted] for k, a in same.items()}
    probabilities = jax.nn.softmax(named["logits"])
    onehot = jax.nn.one_hot(labels[counted], probabilities.shape[-1])
    return named, (probabilities - onehot) / counted.sum()
