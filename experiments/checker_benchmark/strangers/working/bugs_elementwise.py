"""Bugs of elementwise functions and products, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tenstorrent/tt-metal#6533",
    "elementwise",
    draw(x=(3, 4), power=(3, 4)),
    Twin(
        "as reported",
        "cotangent|function|factor",
        "x power",
        "exp for 2^, and the incoming cotangent is not used.",
    ),
    kind="bug",
    name="ldexp tt-metal#6533",
    scales=(0.1, 1.0),
)
def ldexp(slip):
    @jax.custom_vjp
    def ldexp(x, power):
        return x * jnp.exp2(power)

    def fwd(x, power):
        return x * jnp.exp2(power), (x, power)

    def bwd(res, g):
        x, power = res
        ln2 = float(np.log(2))
        if slip:
            scale = jnp.exp(power) * ln2
            return scale, x * scale * ln2
        return g * jnp.exp2(power), g * x * jnp.exp2(power) * ln2

    ldexp.defvjp(fwd, bwd)
    return ldexp, ldexp.fun


@case(
    "chalk-lab/Mooncake.jl#1310",
    "elementwise",
    lambda rng: (positive(rng, 5, low=0.0), positive(rng, 5)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|predicate|region|zero",
        "x",
        "At x = 0 the derivative in x is 0 instead of log y.",
        witness=lambda rng: (jnp.zeros(5), positive(rng, 5)),
    ),
    kind="bug",
    name="xlogy Mooncake.jl#1310",
    options=lambda plain: {"edges": False},
)
def xlogy(slip):
    def plain(x, y):
        return x * jnp.log(y)

    @jax.custom_vjp
    def xlogy(x, y):
        return plain(x, y)

    def fwd(x, y):
        return plain(x, y), (x, y)

    def bwd(res, g):
        x, y = res
        dx = g * jnp.log(y)
        return jnp.where(x == 0, 0, dx) if slip else dx, g * x / y

    xlogy.defvjp(fwd, bwd)
    return xlogy, plain


@case(
    "NVIDIA/warp#1736",
    "elementwise",
    lambda rng: (
        normal(rng, 6),
        positive(rng, 6),
        jnp.array([True, False, True, True, False, True]),
    ),
    Twin(
        "as reported",
        "zero|path|mask|region|predicate",
        "values",
        "Both branches read the same entry; one lost its gradient.",
    ),
    kind="bug",
    name="either_branch warp#1736",
    fixed=(1,),
)
def either_branch(slip):
    @jax.custom_vjp
    def corrected(values, terms, flags):
        return jnp.where(flags, values / terms, values)

    def fwd(values, terms, flags):
        return corrected.fun(values, terms, flags), (values, terms, flags)

    def bwd(res, g):
        values, terms, flags = res
        through = jnp.where(flags, g / terms, g)
        dterms = jnp.where(flags, -g * values / terms**2, 0)
        return jnp.zeros_like(through) if slip else through, dterms, None

    corrected.defvjp(fwd, bwd)
    return corrected, corrected.fun


@case(
    "tenstorrent/tt-metal#54551",
    "reduction",
    draw(x=(3, 4)),
    Twin(
        "as reported",
        "edge|nan|finite|predicate|region|mask",
        "x",
        "The product over x: not finite where an entry is 0.",
        witness=lambda rng: (normal(rng, 3, 4).at[0, 1].set(0),),
    ),
    kind="bug",
    name="product_at_zero tt-metal#54551",
    scales=(0.5, 1.0, 2.0),
)
def product_at_zero(slip):
    @jax.custom_vjp
    def product(x):
        return x.prod(-1)

    def fwd(x):
        y = x.prod(-1)
        return y, (x, y)

    def bwd(res, g):
        x, y = res
        if slip:
            return (g[:, None] * y[:, None] / x,)
        ones = jnp.ones_like(x[:, :1])
        left = jnp.cumprod(jnp.concatenate([ones, x[:, :-1]], 1), 1)
        right = jnp.cumprod(jnp.concatenate([ones, x[:, :0:-1]], 1), 1)[:, ::-1]
        return (g[:, None] * left * right,)

    product.defvjp(fwd, bwd)
    return product, product.fun


@case(
    "tenstorrent/tt-metal#56383",
    "elementwise",
    lambda rng: (positive(rng, 6), 2),
    Twin(
        "as reported",
        "edge|nan|finite|predicate|region|mask",
        "x",
        "At x = 0 the derivative of a power is infinite.",
        witness=lambda rng: (positive(rng, 6).at[2].set(0), 2),
    ),
    kind="bug",
    name="power_at_zero tt-metal#56383",
)
def power_at_zero(slip):
    def plain(x, exponent):
        return x**exponent

    power = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, exponent):
        return plain(x, exponent), x

    def bwd(exponent, x, g):
        dx = g * exponent * x ** (exponent - 1)
        return (jnp.where(x == 0, jnp.inf, dx) if slip else dx,)

    power.defvjp(fwd, bwd)
    return power, plain


@case(
    "tenstorrent/tt-metal#56378",
    "elementwise",
    lambda rng: (positive(rng, 6, low=-0.9, high=0.9),),
    Twin(
        "as reported",
        "cotangent|edge|nan|finite",
        "x",
        "Where the incoming cotangent is 0 the gradient is NaN.",
        proof="zero",
    ),
    kind="bug",
    name="atanh_zero_cotangent tt-metal#56378",
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(0.1, 1.0),
)
def atanh_zero_cotangent(slip):
    @jax.custom_vjp
    def atanh(x):
        return jnp.arctanh(x)

    def fwd(x):
        return jnp.arctanh(x), x

    def bwd(x, g):
        dx = g / ((1 - x) * (1 + x))
        return (jnp.where((g == 0) & (x != 0), jnp.nan, dx) if slip else dx,)

    atanh.defvjp(fwd, bwd)
    return atanh, atanh.fun
