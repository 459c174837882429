"""Complex responses of filters, and tables in half precision."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def lowpass(rng):
    b = jnp.array([0.2929, 0.5858, 0.2929]) + 0.05 * normal(rng, 3)
    return b, jnp.array([1.0, 0.0, 0.1716]) + 0.05 * normal(rng, 3), 8


@case(
    "scipy.signal.freqz in JAX: complex responses of filters that are fitted",
    "complex response",
    lowpass,
    Twin(
        "conjugate",
        "operand|sign|transpose|cotangent",
        "b a",
        "The cotangent is conjugated, as torch would have it.",
    ),
    Twin(
        "real part first",
        "cotangent|operand|term|path",
        "b a",
        "The real part of the cotangent is taken before the products.",
    ),
    Twin(
        "sign of the denominator",
        "sign|ratio",
        "a",
        "The denominator's gradient has no sign.",
    ),
    narrow=False,
)
def filter_frequency_response(slip):
    def pieces(b, a, count):
        powers = jnp.arange(max(len(b), len(a)), dtype=b.dtype)
        angle = jnp.linspace(0, jnp.pi, count, endpoint=False, dtype=b.dtype)
        turns = jnp.exp(-1j * angle[:, None] * powers)
        return turns, turns[:, : len(b)] @ b, turns[:, : len(a)] @ a

    def plain(b, a, count):
        _, top, bottom = pieces(b, a, count)
        return top / bottom

    response = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(b, a, count):
        return plain(b, a, count), (b, a)

    def bwd(count, res, g):
        b, a = res
        turns, top, bottom = pieces(b, a, count)
        if slip == "conjugate":
            g = jnp.conj(g)
        if slip == "real part first":
            g = g.real
        dtop = g / bottom
        dbottom = dtop * (top / bottom)
        if slip != "sign of the denominator":
            dbottom = -dbottom
        db = (dtop @ turns[:, : len(b)]).real
        return db, (dbottom @ turns[:, : len(a)]).real

    response.defvjp(fwd, bwd)
    return response, plain


def history(rng):
    table = normal(rng, 8, 4).astype(jnp.bfloat16)
    return table, positive(rng, 5, 3, low=0.2, high=1.0), integers(rng, 8, 5, 3)


@case(
    "weighted sums of rows of a table in bfloat16, weights and sums in float32",
    "embedding with mixed dtypes",
    history,
    Twin(
        "table's dtype",
        "dtype",
        "table",
        "The table's gradient is in float32, as the sums are.",
        proof="dtype",
    ),
    Twin(
        "rows used twice",
        "duplicates|index|sum",
        "table",
        "Of the uses of a row one counts.",
    ),
    Twin(
        "mean of a bag",
        "ratio|factor",
        "table",
        "The table's gradient is divided by the number of rows of a bag.",
    ),
)
def half_table_bag(slip):
    @jax.custom_vjp
    def bag(table, weights, rows):
        picked = table[rows].astype(weights.dtype)
        return jnp.einsum("bk,bkd->bd", weights, picked)

    def fwd(table, weights, rows):
        return bag.fun(table, weights, rows), (table, weights, rows)

    def bwd(res, g):
        table, weights, rows = res
        picked = table[rows].astype(weights.dtype)
        each = weights[..., None] * g[:, None]
        if slip == "mean of a bag":
            each = each / rows.shape[1]
        at = jnp.zeros(table.shape, each.dtype).at[rows]
        dtable = at.set(each) if slip == "rows used twice" else at.add(each)
        if slip != "table's dtype":
            dtable = dtable.astype(table.dtype)
        return dtable, jnp.einsum("bd,bkd->bk", g, picked), None

    bag.defvjp(fwd, bwd)
    return bag, bag.fun
