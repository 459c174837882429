"""Bugs of sparse products and of densities."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import digamma, gammaln

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


def coordinates(transpose: bool):
    def args(rng):
        places = integers(rng, 4, 6), integers(rng, 4, 6)
        return normal(rng, 6), *places, normal(rng, 4, 3), (4, 4), transpose

    return args


@case(
    "jax-ml/jax#40625",
    "sparse product",
    coordinates(False),
    Twin(
        "as reported",
        "index|swap|option|transpose|operand",
        "data",
        "Whether the product was by the transpose is not asked: rows meet the "
        "cotangent, columns the dense matrix.",
        witness=coordinates(True),
    ),
    kind="bug",
    name="transposed_sparse_product jax#40625",
)
def transposed_sparse_product(slip):
    """A B, or A' B, of a matrix by its entries, which add up where they repeat."""

    def plain(data, row, column, dense, shape, transpose):
        out, into = (column, row) if transpose else (row, column)
        n = shape[1] if transpose else shape[0]
        zero = jnp.zeros_like(dense, shape=(n, dense.shape[1]))
        return zero.at[out].add(data[:, None] * dense[into])

    product = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(data, row, column, dense, shape, transpose):
        res = data, row, column, dense
        return plain(*res, shape, transpose), res

    def bwd(shape, transpose, res, g):
        data, row, column, dense = res
        out, into = (column, row) if transpose else (row, column)
        ddense = jnp.zeros_like(dense).at[into].add(data[:, None] * g[out])
        if slip:
            out, into = row, column
        return (g[out] * dense[into]).sum(1), None, None, ddense

    product.defvjp(fwd, bwd)
    return product, plain


def chain_field(rng):
    diagonal = positive(rng, 6, low=2.2, high=3.0)
    return normal(rng, 6), normal(rng, 6), diagonal, -positive(rng, 5, high=1.0)


@case(
    "timweiland/GaussianMarkovRandomFields.jl#193",
    "log-density",
    chain_field,
    Twin(
        "as reported",
        "term|path",
        "diagonal beside",
        "The log-determinant is taken not to depend on the precision: it is made "
        "from the factorisation, which was declared to have no gradient.",
    ),
    kind="bug",
    name="field_log_density GaussianMarkovRandomFields.jl#193",
    options=lambda plain: {"edges": False},
    fixed=(2, 3),
    narrow=False,
    scales=(0.1, 1.0),
)
def field_log_density(slip):
    """Of a chain: the precision has a diagonal and the entries beside it."""

    def pivots(diagonal, beside):
        def step(before, row):
            pivot = row[0] - row[1] ** 2 / before
            return pivot, pivot

        rest = lax.scan(step, diagonal[0], (diagonal[1:], beside))[1]
        return jnp.concatenate([diagonal[:1], rest])

    @jax.custom_vjp
    def log_density(x, mean, diagonal, beside):
        z = x - mean
        form = (diagonal * z * z).sum() + 2 * (beside * z[:-1] * z[1:]).sum()
        log_det = jnp.log(pivots(diagonal, beside)).sum()
        return 0.5 * (log_det - form - z.size * jnp.log(2 * jnp.pi).astype(z.dtype))

    def fwd(x, mean, diagonal, beside):
        value = log_density.fun(x, mean, diagonal, beside)
        return value, (x - mean, diagonal, beside)

    def bwd(res, g):
        z, diagonal, beside = res
        pivot = pivots(diagonal, beside)

        def step(after, row):
            pivot, share = row
            variance = 1 / pivot + share * share * after
            return variance, (variance, -share * after)

        last = 1 / pivot[-1]
        rows = pivot[:-1], beside / pivot[:-1]
        _, (variances, covariances) = lax.scan(step, last, rows, reverse=True)
        variances = jnp.append(variances, last)
        if slip:
            variances, covariances = 0 * variances, 0 * covariances
        right = jnp.append(beside * z[1:], 0)
        left = jnp.concatenate([jnp.zeros_like(z[:1]), beside * z[:-1]])
        dz = -g * (diagonal * z + right + left)
        ddiagonal = 0.5 * g * (variances - z * z)
        return dz, -dz, ddiagonal, g * (covariances - z[:-1] * z[1:])

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


@case(
    "stan-dev/math#3398",
    "log-density",
    lambda rng: (normal(rng, 5), normal(rng, 5), positive(rng, 5)),
    Twin(
        "as reported",
        "edge|nan|finite|function",
        "loc",
        "The exponentials of loc and of y are taken apart, and overflow.",
        witness=lambda rng: (
            710 + normal(rng, 5),
            710 + normal(rng, 5),
            positive(rng, 5, low=0.8, high=0.9),
        ),
    ),
    kind="bug",
    name="logistic_density math#3398",
    fixed=(2,),
)
def logistic_density(slip):
    @jax.custom_vjp
    def log_density(y, loc, scale):
        z = jnp.abs(y - loc) / scale
        return -z - jnp.log(scale) - 2 * jnp.log1p(jnp.exp(-z))

    def fwd(y, loc, scale):
        return log_density.fun(y, loc, scale), (y, loc, scale)

    def bwd(res, g):
        y, loc, scale = res
        z = (y - loc) / scale
        slope = jnp.tanh(z / 2)
        dloc = g * slope / scale
        dscale = g * (z * slope - 1) / scale
        if slip:
            at_loc, at_y = jnp.exp(loc / scale), jnp.exp(y / scale)
            return -dloc, g * (1 - 2 * at_loc / (at_loc + at_y)) / scale, dscale
        return -dloc, dloc, dscale

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


def proportions(rng):
    return positive(rng, 5, low=0.1, high=0.9), positive(rng, 5), positive(rng, 5)


def uniform_prior(rng):
    return proportions(rng)[0], jnp.ones(5), jnp.ones(5)


@case(
    "jax-ml/jax#15598",
    "log-density",
    proportions,
    Twin(
        "as reported",
        "edge|mask|region|predicate|term|path",
        "a b",
        "Where a parameter is 1 its product with the logarithm is 0, and so is what "
        "it gives to the gradient.",
        witness=uniform_prior,
    ),
    kind="bug",
    name="beta_log_density jax#15598",
    options=lambda plain: {"edges": False},
    fixed=(0, 1, 2),
    narrow=False,
    scales=(1.0,),
)
def beta_log_density(slip):
    @jax.custom_vjp
    def log_density(x, a, b):
        constant = gammaln(a) + gammaln(b) - gammaln(a + b)
        return (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - constant

    def fwd(x, a, b):
        return log_density.fun(x, a, b), (x, a, b)

    def bwd(res, g):
        x, a, b = res
        one, other = jnp.log(x), jnp.log1p(-x)
        if slip:
            one, other = jnp.where(a == 1, 0, one), jnp.where(b == 1, 0, other)
        both = digamma(a + b)
        dx = g * ((a - 1) / x - (b - 1) / (1 - x))
        return dx, g * (one - digamma(a) + both), g * (other - digamma(b) + both)

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


@case(
    "JuliaStats/Distributions.jl#1221",
    "log-density",
    lambda rng: (
        positive(rng, 6, low=0.1, high=0.9),
        jnp.float32(0.0),
        jnp.float32(1.0),
    ),
    Twin(
        "as reported",
        "function|operand|term",
        "x",
        "The logarithm of x stands where its log-odds should.",
    ),
    kind="bug",
    name="logit_normal_density Distributions.jl#1221",
    options=lambda plain: {"edges": False},
    fixed=(0, 1, 2),
    narrow=False,
    scales=(1.0,),
)
def logit_normal_density(slip):
    @jax.custom_vjp
    def log_density(x, loc, scale):
        z = (jnp.log(x) - jnp.log1p(-x) - loc) / scale
        constant = jnp.log(scale) + 0.5 * jnp.log(2 * jnp.pi).astype(scale.dtype)
        return -0.5 * z * z - jnp.log(x) - jnp.log1p(-x) - constant

    def fwd(x, loc, scale):
        return log_density.fun(x, loc, scale), (x, loc, scale)

    def bwd(res, g):
        x, loc, scale = res
        z = (jnp.log(x) - jnp.log1p(-x) - loc) / scale
        at = (jnp.log(x) - loc) / scale if slip else z
        dx = g * (2 * x - 1 - at / scale) / (x * (1 - x))
        return dx, (g * z).sum() / scale, (g * (z * z - 1)).sum() / scale

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun
