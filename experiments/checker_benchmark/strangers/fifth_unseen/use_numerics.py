"""Safe forms of elementwise functions that people write for their own projects."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "log(1 - exp(-x)) in two branches (Maechler), in survival and flow models",
    "elementwise",
    lambda rng: (positive(rng, 6, low=0.1, high=3.0),),
    Twin("sign", "sign|ratio", "x", "The gradient is negative."),
    Twin(
        "of exp(-x)",
        "factor|ratio|function",
        "x",
        "1 / (1 - exp(-x)): the factor exp(-x) is forgotten.",
    ),
    Twin(
        "one branch",
        "mask|region|function|factor|ratio|predicate",
        "x",
        "Above log 2 the branch's inner derivative is left out.",
    ),
)
def log1mexp(slip):
    @jax.custom_vjp
    def f(x):
        small = x < 0.6931472
        near = jnp.log(-jnp.expm1(-jnp.where(small, x, 1)))
        return jnp.where(small, near, jnp.log1p(-jnp.exp(-jnp.where(small, 1, x))))

    def fwd(x):
        return f.fun(x), x

    def bwd(x, g):
        if slip == "of exp(-x)":
            return (-g / jnp.expm1(-x),)
        slope = -jnp.exp(-x) / jnp.expm1(-x)
        if slip == "one branch":
            slope = jnp.where(x < 0.6931472, slope, -1 / jnp.expm1(-x))
        return (-g * slope if slip == "sign" else g * slope,)

    f.defvjp(fwd, bwd)
    return f, f.fun


def shares(rng):
    return normal(rng, 3, 4), positive(rng, 3, 1)


def empty_row(rng):
    x, total = shares(rng)
    return x, total.at[1].set(0)


@case(
    "division that gives 0 where the divisor is 0, for ratios of counts",
    "elementwise with broadcasting",
    shares,
    Twin(
        "divisor of 0",
        "edge|nan|finite",
        "x y",
        "Where the divisor is 0 the gradient is divided by it.",
        witness=empty_row,
    ),
    Twin(
        "dividend passes",
        "mask|region|predicate|edge",
        "x",
        "Where the divisor is 0, the dividend's gradient is the cotangent.",
        witness=empty_row,
    ),
    Twin(
        "one column",
        "sum|axis|index",
        "y",
        "The divisor is used by each column; the gradient is that of the first.",
    ),
)
def safe_divide(slip):
    def fold(d, like):
        ahead = d.ndim - like.ndim
        d = d.sum(tuple(range(ahead)))
        ones = [i for i, n in enumerate(like.shape) if n == 1 and d.shape[i] > 1]
        if slip == "one column" and ones:
            return jax.lax.slice_in_dim(d, 0, 1, axis=ones[-1])
        return d.sum(tuple(ones), keepdims=True)

    @jax.custom_vjp
    def divide(x, y):
        return jnp.where(y == 0, 0, x / jnp.where(y == 0, 1, y))

    def fwd(x, y):
        return divide.fun(x, y), (x, y)

    def bwd(res, g):
        x, y = res
        if slip == "divisor of 0":
            return fold(g / y, x), fold(-g * x / y**2, y)
        zero, safe = y == 0, jnp.where(y == 0, 1, y)
        left = g / safe
        if slip != "dividend passes":
            left = jnp.where(zero, 0, left)
        return fold(left, x), fold(jnp.where(zero, 0, -g * (x / safe) / safe), y)

    divide.defvjp(fwd, bwd)
    return divide, divide.fun
