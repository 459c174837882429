"""Bugs of elementwise functions, selections and sums, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "ml-explore/mlx#2451",
    "elementwise",
    draw(y=(6,), x=(6,)),
    Twin(
        "as reported",
        "factor|operand|function|term",
        "y",
        "The numerator is missing in the derivative.",
    ),
    kind="bug",
    name="arctan2 mlx#2451",
    options=lambda plain: {"edges": False},
)
def arctan2(slip):
    @jax.custom_vjp
    def arctan2(y, x):
        return jnp.arctan2(y, x)

    def fwd(y, x):
        return jnp.arctan2(y, x), (y, x)

    def bwd(res, g):
        y, x = res
        square = x * x + y * y
        return g / square if slip else g * x / square, -g * y / square

    arctan2.defvjp(fwd, bwd)
    return arctan2, arctan2.fun


@case(
    "EnzymeAD/Enzyme-JAX#2105",
    "complex elementwise",
    lambda rng: (positive(rng, 5), normal(rng, 5)),
    Twin(
        "as reported",
        "sign|function|operand|residual",
        "phase",
        "The derivative of the complex exponential is conjugated.",
    ),
    kind="bug",
    name="phasor Enzyme-JAX#2105",
    narrow=False,
)
def phasor(slip):
    @jax.custom_vjp
    def phasor(amplitude, phase):
        return amplitude * jnp.exp(1j * phase)

    def fwd(amplitude, phase):
        turn = jnp.exp(1j * phase)
        return amplitude * turn, (amplitude, turn)

    def bwd(res, g):
        amplitude, turn = res
        slope = 1j * amplitude * turn
        return (g * turn).real, (g * (slope.conj() if slip else slope)).real

    phasor.defvjp(fwd, bwd)
    return phasor, phasor.fun


@case(
    "tensorflow/tensorflow#119430",
    "scan",
    draw(x=(3, 5)),
    Twin(
        "as reported",
        "edge|zero|mask|region|predicate",
        "x",
        "Where an entry is 0, so is its gradient: 0 / 0 is replaced by 0.",
        witness=lambda rng: (normal(rng, 3, 5).at[1, 2].set(0).at[2, 0].set(0),),
    ),
    kind="bug",
    name="cumulative_product tensorflow#119430",
    scales=(0.5, 1.0, 2.0),
)
def cumulative_product(slip):
    @jax.custom_vjp
    def products(x):
        return jnp.cumprod(x, -1)

    def fwd(x):
        y = jnp.cumprod(x, -1)
        return y, (x, y)

    def by_division(x, y, g):
        total = jnp.cumsum((y * g)[:, ::-1], -1)[:, ::-1]
        return jnp.where(x == 0, 0, total / jnp.where(x == 0, 1, x))

    def bwd(res, g):
        x, y = res
        if slip:
            return (by_division(x, y, g),)

        def step(tail, part):
            x, g = part
            return x * (g + tail), g + tail

        tails = lax.scan(step, jnp.zeros_like(x[:, 0]), (x.T, g.T), reverse=True)[1]
        before = jnp.concatenate([jnp.ones_like(y[:, :1]), y[:, :-1]], 1)
        return (before * tails.T,)

    products.defvjp(fwd, bwd)
    return products, products.fun


@case(
    "pymc-devs/pytensor#2242",
    "gather",
    lambda rng: (normal(rng, 6, 3), jnp.asarray(rng.permutation(6)[:4], jnp.int32)),
    Twin(
        "as reported",
        "duplicates|index|sum",
        "table",
        "Of rows that are taken twice, one contribution overwrites the other.",
        witness=lambda rng: (normal(rng, 6, 3), integers(rng, 2, 5)),
    ),
    kind="bug",
    name="take_rows pytensor#2242",
)
def take_rows(slip):
    @jax.custom_vjp
    def take(table, rows):
        return table[rows]

    def fwd(table, rows):
        return table[rows], (jnp.zeros_like(table), rows)

    def bwd(res, g):
        zeros, rows = res
        if slip:
            return zeros.at[rows].set(zeros[rows] + g), None
        return zeros.at[rows].add(g), None

    take.defvjp(fwd, bwd)
    return take, take.fun


@case(
    "ml-explore/mlx#1428",
    "selection",
    lambda rng: (normal(rng, 3, 6), 2),
    Twin(
        "as reported",
        "index|swap|transpose|elements|region",
        "x",
        "The order is applied once more where its inverse is needed.",
    ),
    kind="bug",
    name="top_k mlx#1428",
)
def top_k(slip):
    def plain(x, k):
        order = jnp.argsort(x, -1)
        return jnp.take_along_axis(x, order, -1)[:, x.shape[1] - k :]

    top = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, k):
        return plain(x, k), jnp.argsort(x, -1)

    def bwd(k, order, g):
        d = jnp.pad(g, ((0, 0), (order.shape[1] - k, 0)))
        if not slip:
            order = jnp.argsort(order, -1)
        return (jnp.take_along_axis(d, order, -1),)

    top.defvjp(fwd, bwd)
    return top, plain


@case(
    "NVIDIA/warp#1697",
    "sum by components",
    draw(x=(5,), weights=(5,)),
    Twin(
        "as reported",
        "factor|ratio|sum|function|duplicates",
        "x weights",
        "A component that is overwritten keeps its cotangent, which doubles.",
    ),
    kind="bug",
    name="component_sums warp#1697",
)
def component_sums(slip):
    @jax.custom_vjp
    def moments(x, weights):
        def body(m, part):
            x, w = part
            m = m.at[0].set(m[0] + w)
            m = m.at[1].set(m[1] + w * x)
            return m.at[2].set(m[2] + w * x * x), None

        return lax.scan(body, jnp.zeros(3, x.dtype), (x, weights))[0]

    def fwd(x, weights):
        return moments.fun(x, weights), (x, weights)

    def bwd(res, g):
        def body(dm, part):
            x, w = part
            dw = dm[0] + dm[1] * x + dm[2] * x * x
            dx = dm[1] * w + 2 * dm[2] * w * x
            return 2 * dm if slip else dm, (dx, dw)

        return lax.scan(body, g, res, reverse=True)[1]

    moments.defvjp(fwd, bwd)
    return moments, moments.fun
