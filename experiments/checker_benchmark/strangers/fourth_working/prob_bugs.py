"""Bugs of densities, of a Bessel function, of a posterior mean, and of an operation."""

import jax
import jax.numpy as jnp
from jax.scipy.special import i0, i1

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def sum_to(shape, a):
    """Sum over the axes along which `shape` was broadcast."""
    a = a.sum(tuple(range(a.ndim - len(shape))))
    ones = [i for i, n in enumerate(shape) if n == 1 and a.shape[i] != 1]
    return a.sum(tuple(ones), keepdims=True)


@case(
    "probcomp/Gen.jl#432",
    "log-density",
    lambda rng: (normal(rng, 3, 4), normal(rng, 4), jnp.float32(1.0)),
    Twin(
        "as reported",
        "sum|axis",
        "x loc",
        "All arguments get the sum over all axes, not over those that they lack.",
    ),
    kind="bug",
    name="broadcasted_normal Gen.jl#432",
)
def broadcasted_normal(slip):
    """Sum of the log-densities; x, loc and scale are broadcast."""

    @jax.custom_vjp
    def log_density(x, loc, scale):
        z = (x - loc) / scale
        constant = 0.5 * jnp.log(2 * jnp.pi).astype(z.dtype)
        return (-0.5 * z * z - jnp.log(scale) - constant).sum()

    def fwd(x, loc, scale):
        return log_density.fun(x, loc, scale), (x, loc, scale)

    def bwd(res, g):
        x, loc, scale = res
        z = (x - loc) / scale
        slopes = -z / scale, z / scale, (z * z - 1) / scale

        def reduced(a, like):
            if slip:
                return jnp.full_like(like, g * a.sum())
            return sum_to(like.shape, g * a)

        return tuple(map(reduced, slopes, res))

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


@case(
    "aesara-devs/aesara#660",
    "elementwise",
    lambda rng: (normal(rng, 5), 2.0, 1.0),
    Twin(
        "as reported",
        "affine|cotangent|term|zero",
        "x",
        "The operation itself is applied to the cotangent, its constant as well.",
    ),
    kind="bug",
    name="affine aesara#660",
)
def affine(slip):
    """An operation with two properties."""

    def plain(x, a, b):
        return a * x + b

    operation = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, a, b):
        return plain(x, a, b), None

    def bwd(a, b, _, g):
        return (a * g + b if slip else a * g,)

    operation.defvjp(fwd, bwd)
    return operation, plain


def trained(rng):
    x, train, weights = normal(rng, 2), normal(rng, 6, 2), normal(rng, 6)
    return x, train, weights, jnp.array([0.7, 0.9], jnp.float32)


@case(
    "sarmueller/gibo#3",
    "Gaussian process",
    trained,
    Twin(
        "as reported",
        "ratio|factor|operand",
        "x",
        "The kernel's slope by x is divided by the lengths, not by their squares.",
    ),
    kind="bug",
    name="posterior_mean gibo#3",
    fixed=(3,),
    scales=(0.1, 1.0, 3.0),
)
def posterior_mean(slip):
    """At one point, with the squared-exponential kernel and a length per axis."""

    def parts(x, train, lengths):
        gaps = (x - train) / lengths
        return gaps, jnp.exp(-0.5 * (gaps**2).sum(-1))

    @jax.custom_vjp
    def mean(x, train, weights, lengths):
        return parts(x, train, lengths)[1] @ weights

    def fwd(x, train, weights, lengths):
        gaps, kernel = parts(x, train, lengths)
        return kernel @ weights, (gaps, kernel, weights, lengths)

    def bwd(res, g):
        gaps, kernel, weights, lengths = res
        by_gap = -g * (weights * kernel)[:, None] * gaps
        by_point = by_gap / lengths
        dx = by_gap.sum(0) if slip else by_point.sum(0)
        return dx, -by_point, g * kernel, -(by_point * gaps).sum(0)

    mean.defvjp(fwd, bwd)
    return mean, mean.fun


@case(
    "y0ast/VAE-Torch#5",
    "loss",
    draw(target=(3, 4), mean=(3, 4), log_variance=(3, 4)),
    Twin(
        "as reported",
        "ratio|factor|term|constant",
        "log_variance",
        "The constant part of the slope is a quarter in place of a half.",
    ),
    kind="bug",
    name="gaussian_criterion VAE-Torch#5",
    scales=(0.1, 1.0, 3.0),
)
def gaussian_criterion(slip):
    """Negative log-likelihood of a decoder's normal distribution."""

    @jax.custom_vjp
    def criterion(target, mean, log_variance):
        square = (target - mean) ** 2 * jnp.exp(-log_variance)
        constant = jnp.log(2 * jnp.pi).astype(square.dtype)
        return 0.5 * (square + log_variance + constant).sum()

    def fwd(target, mean, log_variance):
        res = target, mean, log_variance
        return criterion.fun(*res), res

    def bwd(res, g):
        target, mean, log_variance = res
        precision = jnp.exp(-log_variance)
        gap = target - mean
        constant = 0.25 if slip else 0.5
        by_target = g * gap * precision
        return by_target, -by_target, g * (constant - 0.5 * gap**2 * precision)

    criterion.defvjp(fwd, bwd)
    return criterion, criterion.fun


@case(
    "tensorflow/tensorflow#120578",
    "special function",
    draw(x=(6,)),
    Twin(
        "as reported",
        "edge|region|predicate|term|elements",
        "x",
        "At zero, I1(x) / x is taken to be 0, where it is a half.",
        witness=lambda rng: (jnp.array([0.0, 0.5, -1.0, 0.0], jnp.float32),),
    ),
    kind="bug",
    name="bessel_i1 tensorflow#120578",
    narrow=False,
)
def bessel_i1(slip):
    def plain(x):
        # Its autodiff is right at 0: jax.scipy's own rule has the case.
        return i1(x)

    bessel = jax.custom_vjp(plain)

    def fwd(x):
        return plain(x), x

    def bwd(x, g):
        zero = x == 0
        ratio = i1(x) / jnp.where(zero, 1, x)
        return (g * (i0(x) - jnp.where(zero, 0 if slip else 0.5, ratio)),)

    bessel.defvjp(fwd, bwd)
    return bessel, plain
