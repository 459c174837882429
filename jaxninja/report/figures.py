"""The figures of a run, with what they mean, for the report."""

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja import plots
from jaxninja.data.text import IGNORED
from jaxninja.intermediates import statistics
from jaxninja.models import network
from jaxninja.report.gathered import Gathered
from jaxninja.training import steps
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Diagnosis


class Picture(NamedTuple):
    """A figure of the report."""

    topic: str  # of the findings that belong to it
    alt: str  # what it shows, for whoever cannot see it
    png: str  # base64


def pictures(found: Gathered) -> Iterator[Picture]:
    """What can be drawn from what is there; a figure that fails says so in problems."""
    for topic, alt, draw in _drawings(found):
        try:
            png = base64.b64encode(plots.png(draw())).decode()
        except Exception as error:  # a broken record must not cost the other figures
            found.problems.append(f"no figure of {alt}: {error!r}")
        else:
            yield Picture(topic, alt, png)


def _drawings(found: Gathered) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    if found.metrics:
        one = {found.name: found.metrics}
        yield "loss", "the training loss", lambda: plots.losses_of_runs(one)
    if found.diagnostics:
        yield from _of_diagnostics(found.diagnostics, found.config.get("clip"))
    if found.run is not None:
        yield from _of_network(found.run)


def _of_diagnostics(lines: Sequence[Diagnosis], clip: float | None) -> Iterator[tuple]:
    last = lines[-1]
    if set(last["activations"]) - {"logits"}:  # a table of logits has no layer
        if lines[0]["step"] == 0 and len(lines) > 1:
            at_start = "the activations before the first step"
            yield "start", at_start, lambda: plots.activations(lines[0])
        yield "activations", "the activations", lambda: plots.activations(last)
        yield "gradients", "the gradients by layer", lambda: plots.gradients(last)
    weights = "the gradients of the weights"
    yield "gradients", weights, lambda: plots.weight_gradients(last)
    yield "updates", "the update:data ratios", lambda: plots.update_ratios(lines)
    norms = "the norm of the gradient"
    yield "clipping", norms, lambda: plots.gradient_norms(lines, clip)
    if last["batchnorm"]:
        gaps = "running against calibrated statistics"
        yield "batchnorm", gaps, lambda: plots.batchnorm_gaps(lines)


def _of_network(run: Run) -> Iterator[tuple]:
    shown = [run.vocabulary.show([i]) for i in range(len(run.vocabulary))]
    named, dlogits = forces(run)
    for name, kind in network.of(run.model).activations(run.model).items():
        flat = np.asarray(statistics.flat(named[name], kind, statistics.DEAD))
        what = f"where the units of {name} are flat"
        yield "activations", what, lambda f=flat, n=name: plots.dead_units(f, n)
    alt = "the gradient of the logits"
    yield "forces", alt, lambda: plots.dlogits(np.asarray(dlogits), shown)
    if hasattr(network.of(run.model), "attention_maps"):
        maps, read = attention(run)
        alt = f"what the places of {read[1:]!r} attend to"
        symbols = [run.vocabulary.boundary, *read[1:]]
        yield "attention", alt, lambda: plots.attention_maps(maps, symbols)
    if "C" in run.params:
        C = np.asarray(run.params["C"])
        yield "embedding", "the embedding", lambda: plots.embedding(C, shown)


def attention(run: Run) -> tuple[np.ndarray, str]:
    """The attention maps [L, H, T, T] of an item of val, and what is read at each of
    its T places: the boundary, as a space, and its symbols."""
    x, y = run.dataset.val
    length = int((y[0] != IGNORED).sum())
    ids = jnp.asarray(x[:1, :length])
    maps = network.of(run.model).attention_maps(run.params, ids, run.model)
    return np.asarray(maps[:, 0]), " " + run.vocabulary.decode(x[0, 1:length].tolist())


def compared(runs: Sequence[Gathered]) -> Iterator[Picture]:
    """The losses of several runs, laid over each other."""
    metrics = {label: found.metrics for label, found in labelled(runs).items()}
    for part, what in (("train", "training"), ("val", "validation")):
        figure = plots.losses_of_runs(metrics, part)
        png = base64.b64encode(plots.png(figure)).decode()
        yield Picture("loss", f"the {what} losses of all runs", png)


def labelled(runs: Sequence[Gathered]) -> dict[str, Gathered]:
    """Runs by their names, by their paths where two have the same."""
    names = [found.name for found in runs]
    twice = len(set(names)) < len(names)
    return {str(found.path) if twice else found.name: found for found in runs}


def forces(run: Run) -> tuple[dict[str, jax.Array], jax.Array]:
    """Intermediates of the next batch, and dlogits: what pushes and pulls each.

    A row for each prediction, without those that padding makes none of.
    """
    x, y = map(jnp.asarray, run.dataset.train)
    ids, labels = steps.batch(run.config, x, y, run.step)
    named = network.intermediates(run.params, ids, labels, run.model)
    counted = np.asarray(labels) != IGNORED
    if counted.ndim > 1:
        same = {k: a for k, a in named.items() if a.shape[:2] == counted.shape}
        named |= {k: a[counted] for k, a in same.items()}
    probabilities = jax.nn.softmax(named["logits"])
    onehot = jax.nn.one_hot(labels[counted], probabilities.shape[-1])
    return named, (probabilities - onehot) / counted.sum()
