"""Is it right there? Rules against float64, routes against autodiff, runs twice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.gpu.clock import first_line
from experiments.gpu.training import data, trained
from jaxninja.models import agreement, gpt2, network
from jaxninja.rule import Case, Rule
from jaxninja.rules import RULES
from jaxninja.training.config import TrainConfig
from jaxninja.training.kernel import build

SLACK = {"float32": 1e-5, "bfloat16": 5e-2}  # of the scale: roundings of large sums


def rules(tiny: bool) -> Iterator[dict]:
    """Largest error of value and gradients, of the scale, beside autodiff's own.

    Most of the time is XLA's, which compiles for several rules at once.
    """
    with ThreadPoolExecutor() as pool:
        for rows in pool.map(_rule, RULES[:2] if tiny else RULES):
            yield from rows


def _rule(rule: Rule) -> list[dict[str, Any]]:
    """A row for each type; what has no program says so, and stops no other."""
    case = rule.cases[0]
    drawn = rule.example(jax.random.key(0), **case.dims)
    exact = jax.jit(_both(rule, rule.reference, case.static))
    rows: list[dict[str, Any]] = []
    for dtype, slack in SLACK.items():
        row: dict[str, Any] = {"rule": rule.name, "in": dtype}
        try:
            mine, autodiff = _errors(rule, case, _in(drawn, dtype), exact)
        except Exception as error:
            rows.append(row | {"failed": first_line(error)})
            continue
        right = _yes(mine <= 2 * autodiff + slack)
        rows.append(row | {"error": mine, "autodiff's": autodiff, "right": right})
    return rows


def _errors(rule: Rule, case: Case, arrays: tuple, exact: Callable) -> tuple:
    ways = [_both(rule, op, case.static) for op in (rule.op, rule.reference)]
    values = jax.jit(lambda *a: [way(*a) for way in ways])(*arrays)
    with jax.enable_x64(True):
        truth = exact(*_in(arrays, "float64"))
    return tuple(_apart(value, truth) for value in values)


def _in(arrays, dtype: str):
    floating = lambda a: jnp.issubdtype(a.dtype, jnp.floating)  # noqa: E731
    return jax.tree.map(lambda a: a.astype(dtype) if floating(a) else a, arrays)


def _both(rule, op, static):
    """Value and gradients, for cotangents that are no constant; exact in float32."""

    def run(*arrays):
        call = lambda *given: op(*rule.arranged(given, static))  # noqa: E731
        with jax.default_matmul_precision("highest"):
            y, pull = jax.vjp(call, *arrays)
            dy = jax.tree.map(_generic, y)
            cotangents = jax.tree.leaves(pull(dy))
        return y, [g for g in cotangents if g.dtype != jax.dtypes.float0]

    return run


def _generic(a):
    return (1 + jnp.cos(jnp.arange(a.size))).reshape(a.shape).astype(a.dtype)


def _apart(values, truth) -> float:
    pairs = zip(*map(jax.tree.leaves, (values, truth)), strict=True)
    return max(_error(np.asarray(a, np.float64), np.asarray(b)) for a, b in pairs)


def _error(a, b) -> float:
    return float(abs(a - b).max(initial=0) / max(abs(b).max(initial=0), 1e-30))


def routes(tiny: bool) -> Iterator[dict]:
    """Disagreement with autodiff, of what is allowed: by hand for each model."""
    names = [n for n, page in network.PAGES.items() if page.by_hand]
    names = ["ninja", *(n for n in names if n != "ninja")]
    ways = [(n, "network", t) for n in names for t in ("float32", "bfloat16")]
    ways.insert(1, ("ninja", "rules", "float32"))
    for name, route, dtype in [("bigram", "network", "float32")] if tiny else ways:
        row = {"model": name, "route": route, "in": dtype}
        yield row | _route(name, route, dtype)


def _route(name: str, route: str, dtype: str) -> dict[str, Any]:
    half = {"dtype": dtype} if dtype != "float32" else {}
    small = partial(gpt2.named, "gpt2-tiny")  # 124M would need half a minute
    model = (small if name == "gpt2" else network.MODELS[name])(**half)
    keys = jax.random.split(jax.random.key(0), 3)
    params = network.of(model).init(keys[0], model)
    ids = jax.random.randint(keys[1], (32, model.context), 1, 27)
    shape = ids.shape if network.reads_sequences(model) else (32,)
    labels = jax.random.randint(keys[2], shape, 0, 27)
    with jax.default_matmul_precision("highest"):
        find = jax.jit(agreement.disagreement, static_argnums=(0, 4))
        apart = find(route, params, ids, labels, model)
    worst = max(apart, key=lambda key: float(apart[key]))
    share = float(apart[worst]) / agreement.tolerance(
        agreement.precision(params, model)
    )
    return {"worst": worst, "of what is allowed": share, "right": _yes(share <= 1)}


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"


def determinism(tiny: bool) -> Iterator[dict]:
    """Two runs of the lecture's training: the same bits?"""
    x, y = data()
    count = 3 if tiny else 1_000
    ways = (("xla", "network"), ("kernel", "network"), ("xla", "rules"))
    for engine, route in ways[:2] if tiny else ways:
        row = {"engine": engine, "route": route, "steps": count}
        try:
            config = TrainConfig(engine=engine, route=route)
            first, second = (trained(config, x, y, count) for _ in range(2))
        except build.KernelError as error:
            yield row | {"failed": str(error)}
            continue
        leaves = zip(*map(jax.tree.leaves, (first, second)), strict=True)
        yield row | {"same bits": _yes(all(np.array_equal(a, b) for a, b in leaves))}
