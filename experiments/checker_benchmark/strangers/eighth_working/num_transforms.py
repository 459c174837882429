"""Bijectors with their log-determinants, and an orthogonal transform."""

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


def between(rng):
    return positive(rng, 4, 3, low=-0.6, high=1.5), -1.0, 2.0


def beyond(rng):
    return normal(rng, 4, 3, std=3.0), -1.0, 2.0


@case(
    "logit from an interval in torch.logit(eps) and tabular flows",
    "transform with two outputs",
    between,
    Twin(
        "clipped values",
        "mask|region|predicate",
        "x",
        "Values out of the interval, which are clipped, get a gradient.",
        witness=beyond,
    ),
    Twin(
        "log-determinant",
        "term|cotangent|path",
        "x",
        "The cotangent of the log-determinant is not used.",
    ),
    Twin(
        "width of the interval",
        "ratio|factor",
        "x",
        "The gradient is that of the share, not of x.",
    ),
)
def logit_transform(slip):
    eps = 1e-3

    def share(x, low, high):
        u = (x - low) / (high - low)
        inside = (u > eps) & (u < 1 - eps)
        return inside, jnp.where(inside, u, jnp.where(u <= eps, eps, 1 - eps))

    def plain(x, low, high):
        u = share(x, low, high)[1]
        up, down = jnp.log(u), jnp.log1p(-u)
        width = jnp.log(jnp.asarray(high - low, x.dtype))
        return up - down, -(up + down + width).sum(-1)

    transform = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, low, high):
        return plain(x, low, high), x

    def bwd(low, high, x, gs):
        dy, dlogdet = gs
        inside, u = share(x, low, high)
        du = dy / (u * (1 - u))
        if slip != "log-determinant":
            du = du - dlogdet[:, None] * (1 - 2 * u) / (u * (1 - u))
        if slip != "width of the interval":
            du = du / (high - low)
        return (du if slip == "clipped values" else jnp.where(inside, du, 0),)

    transform.defvjp(fwd, bwd)
    return transform, plain


def rows_and_softness(rng):
    return normal(rng, 5, 3), positive(rng, 3)


@case(
    "softplus bijector with a hinge's softness in TensorFlow Probability",
    "transform with two outputs",
    rows_and_softness,
    Twin(
        "argument of the softness",
        "term|path|operand",
        "soft",
        "Only the softness in front has a gradient, not the one inside.",
    ),
    Twin(
        "log-determinant's inside",
        "term|path",
        "soft",
        "The log-determinant is taken not to depend on the softness.",
    ),
    Twin(
        "inner division",
        "ratio|factor",
        "x",
        "The log-determinant's slope is not divided by the softness.",
    ),
)
def softplus_bijector(slip):
    @jax.custom_vjp
    def transform(x, soft):
        u = x / soft
        return soft * jax.nn.softplus(u), jax.nn.log_sigmoid(u)

    def fwd(x, soft):
        return transform.fun(x, soft), (x, soft)

    def bwd(res, gs):
        x, soft = res
        dy, dlogdet = gs
        u = x / soft
        rise = jax.nn.sigmoid(u)
        du = dlogdet * jax.nn.sigmoid(-u)
        dx = dy * rise + (du if slip == "inner division" else du / soft)
        dsoft = dy * jax.nn.softplus(u)
        if slip != "argument of the softness":
            dsoft = dsoft - dy * rise * u
        if slip != "log-determinant's inside":
            dsoft = dsoft - du * u / soft
        return dx, dsoft.sum(0)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


def packed(rng):
    return normal(rng, 4, 3), normal(rng, 3), normal(rng, 6)


@case(
    "affine bijector with a triangular matrix in distrax (block-wise shift and scale)",
    "transform with two outputs",
    packed,
    Twin(
        "transposed matrix",
        "transpose|operand",
        "x",
        "The points' gradient is multiplied by the matrix, not its transpose.",
    ),
    Twin(
        "diagonal's softplus",
        "factor|function|index",
        "packed",
        "The diagonal's gradient is not taken through the softplus.",
    ),
    Twin(
        "one log-determinant",
        "sum|ratio|factor",
        "packed",
        "Each point has the log-determinant, their cotangents are averaged.",
    ),
)
def scale_matvec_tril(slip):
    def matrix(packed, size):
        rows, cols = jnp.tril_indices(size)
        raw = jnp.zeros((size, size), packed.dtype).at[rows, cols].set(packed)
        diag = jax.nn.softplus(jnp.diag(raw)) + 1e-3
        return raw, diag, jnp.tril(raw, -1) + jnp.diag(diag)

    @jax.custom_vjp
    def transform(x, shift, packed):
        _, diag, tril = matrix(packed, x.shape[1])
        logdet = jnp.log(diag).sum()
        return x @ tril.T + shift, jnp.broadcast_to(logdet, x.shape[:1])

    def fwd(x, shift, packed):
        return transform.fun(x, shift, packed), (x, packed)

    def bwd(res, gs):
        x, packed = res
        dy, dlogdet = gs
        raw, diag, tril = matrix(packed, x.shape[1])
        dx = dy @ (tril.T if slip == "transposed matrix" else tril)
        full = dy.T @ x
        each = dlogdet.mean() if slip == "one log-determinant" else dlogdet.sum()
        ddiag = jnp.diag(full) + each / diag
        if slip != "diagonal's softplus":
            ddiag = ddiag * jax.nn.sigmoid(jnp.diag(raw))
        full = jnp.tril(full, -1) + jnp.diag(ddiag)
        return dx, dy.sum(0), full[jnp.tril_indices(x.shape[1])]

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


def signals(normalise):
    def args(rng):
        return normal(rng, 3, 6), normal(rng, 6), normalise

    return args


@case(
    "Walsh-Hadamard transform of padded features (Fastfood, hadamard kernels)",
    "orthogonal transform",
    signals(True),
    Twin(
        "scale forgotten",
        "ratio|factor|option",
        "x gain",
        "The normalisation is not applied to the cotangent.",
    ),
    Twin(
        "scale of the inverse",
        "ratio|factor|option",
        "x gain",
        "The cotangent is divided by the length, as by an inverse.",
    ),
    Twin(
        "gain of one row",
        "sum|ratio|factor",
        "gain",
        "The gain is shared by the rows, its gradient is their mean.",
    ),
)
def walsh_hadamard(slip):
    def butterflies(x):
        rows, length = x.shape
        half = 1
        while half < length:
            pairs = x.reshape(rows, -1, 2, half)
            a, b = pairs[:, :, 0], pairs[:, :, 1]
            x = jnp.stack([a + b, a - b], axis=2).reshape(rows, length)
            half *= 2
        return x

    def padded(x):
        length = 1 << (x.shape[1] - 1).bit_length()
        return jnp.pad(x, ((0, 0), (0, length - x.shape[1])))

    def plain(x, gain, normalise):
        y = butterflies(padded(x * gain))
        return y * y.shape[1] ** -0.5 if normalise else y

    transform = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, gain, normalise):
        return plain(x, gain, normalise), (x, gain)

    def bwd(normalise, res, g):
        x, gain = res
        back = butterflies(g)
        if normalise and slip != "scale forgotten":
            power = -1.0 if slip == "scale of the inverse" else -0.5
            back = back * g.shape[1] ** power
        back = back[:, : x.shape[1]]
        shared = back * x
        dgain = shared.mean(0) if slip == "gain of one row" else shared.sum(0)
        return back * gain, dgain

    transform.defvjp(fwd, bwd)
    return transform, plain
