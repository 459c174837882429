"""How the time of a step grows with the work: hidden units, batch, vocabulary."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.clock import take_turns
from jaxninja import TrainConfig
from jaxninja.models.ninja import Ninja
from jaxninja.training import steps

SIZES = {
    "hidden": (50, 100, 200, 400, 800, 1600, 3200),
    "batch": (32, 128, 512, 2048, 8192, 32_768),
    "vocabulary": (27, 128, 512, 2048, 8192, 50_257),
}


def measure(rounds: int, route: str = "network") -> dict[str, Any]:
    """Axis -> sizes, FLOPs of a step, seconds of a step in each round."""
    return {axis: _axis(axis, sizes, rounds, route) for axis, sizes in SIZES.items()}


def _axis(axis, sizes, rounds, route) -> dict[str, Any]:
    trainers = {str(size): _trainer(axis, size, route) for size in sizes}
    calls = take_turns({name: train for name, (_, train) in trainers.items()}, rounds)
    seconds = [[s / trainers[name][0] for s in row] for name, row in calls.items()]
    flops = [step_flops(*_sizes(axis, size)) for size in sizes]
    return {"sizes": list(sizes), "flops": flops, "seconds": seconds}


def _sizes(axis: str, size: int) -> tuple[int, Ninja]:
    batch = size if axis == "batch" else 32
    model = Ninja()
    return batch, replace(model, **{axis: size}) if axis != "batch" else model


def step_flops(batch: int, model: Ninja) -> int:
    """Three matrix products a layer, two layers."""
    fan_in = model.context * model.embedding
    return 6 * batch * model.hidden * (fan_in + model.vocabulary)


def _trainer(axis: str, size: int, route: str):
    """Steps in a call, and the function that makes so many calls."""
    batch, model = _sizes(axis, size)
    config = TrainConfig(route=route, batch_size=batch)  # type: ignore[arg-type]
    in_call = int(np.clip(2e9 / step_flops(batch, model), 20, 1_000))
    advance = steps.make_advance(config, model)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, model.vocabulary, (50_000, 3), dtype=np.int32))
    state = steps.init_state(config, model)

    def train(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, losses = advance(state, steps.Items(x, x[:, 0]), 0, in_call)
            jax.block_until_ready(losses)

    return in_call, train


def slope(row: dict[str, Any], points: int = 3) -> tuple[float, float]:
    """Fitted exponents of the time, and of the FLOPs, over so many largest sizes."""
    x = np.log(row["sizes"][-points:])
    times = [np.median(s) for s in row["seconds"][-points:]]
    fit = lambda y: float(np.polyfit(x, np.log(y), 1)[0])  # noqa: E731
    return fit(times), fit(row["flops"][-points:])


def above_launch(rows: dict[str, Any], times: float = 5.0) -> dict[str, int]:
    """How many of an axis's largest sizes take so many times the least step of all."""
    medians = {axis: np.median(row["seconds"], axis=1) for axis, row in rows.items()}
    least = times * min(m.min() for m in medians.values())
    return {axis: int((m >= least).sum()) for axis, m in medians.items()}
