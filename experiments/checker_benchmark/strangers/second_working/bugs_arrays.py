"""Bugs of distances, likelihoods, pools and cameras, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "elixir-nx/nx#1779",
    "elementwise",
    lambda rng: (normal(rng, 4, 3), jnp.float32(-0.8), jnp.float32(0.9)),
    Twin(
        "as reported",
        "cotangent",
        "x low high",
        "The incoming cotangent is in the masks and is multiplied once more.",
    ),
    kind="bug",
    name="clip nx#1779",
)
def clip(slip):
    @jax.custom_vjp
    def clip(x, low, high):
        return jnp.minimum(jnp.maximum(x, low), high)

    def fwd(x, low, high):
        return clip.fun(x, low, high), (x, low, high)

    def bwd(res, g):
        x, low, high = res
        above = jnp.maximum(x, low) > high
        below = (x < low) & ~above
        d = g * g if slip else g
        inside = jnp.where(above | below, 0, d)
        return inside, jnp.where(below, d, 0).sum(), jnp.where(above, d, 0).sum()

    clip.defvjp(fwd, bwd)
    return clip, clip.fun


@case(
    "kornia/kornia#4233",
    "distance",
    draw(x=(4, 3), y=(5, 3)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|region|predicate",
        "x y",
        "Where two points are the same the gradient is not finite.",
        witness=lambda rng: (normal(rng, 4, 3),) * 2,
    ),
    kind="bug",
    name="pairwise_distances kornia#4233",
)
def pairwise_distances(slip):
    def plain(x, y):
        square = ((x[:, None] - y) ** 2).sum(-1)
        apart = square > 0
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)

    @jax.custom_vjp
    def distances(x, y):
        return plain(x, y)

    def fwd(x, y):
        d = plain(x, y)
        return d, (x, y, d)

    def bwd(res, g):
        x, y, d = res
        weight = g / (d if slip else jnp.where(d > 0, d, 1))
        dx = weight[..., None] * (x[:, None] - y)
        return dx.sum(1), -dx.sum(0)

    distances.defvjp(fwd, bwd)
    return distances, plain


def regression(alpha, label):
    def args(rng):
        y = jnp.full(6, label, jnp.int32) if label is not None else integers(rng, 2, 6)
        return y, normal(rng, 6, 3), jnp.float32(alpha), normal(rng, 3)

    return args


@case(
    "stan-dev/math#3369",
    "density",
    regression(0.3, None),
    Twin(
        "as reported",
        "sign|region|predicate|ratio|mask|function",
        "x alpha beta",
        "Above the cutoff the label's sign is missing.",
        witness=regression(30.0, 1),
    ),
    kind="bug",
    name="bernoulli_logit_glm math#3369",
)
def bernoulli_logit_glm(slip):
    cutoff = 20.0

    @jax.custom_vjp
    def log_likelihood(y, x, alpha, beta):
        signs = (2 * y - 1).astype(x.dtype)
        return jax.nn.log_sigmoid(signs * (alpha + x @ beta)).sum()

    def fwd(y, x, alpha, beta):
        return log_likelihood.fun(y, x, alpha, beta), (y, x, alpha, beta)

    def bwd(res, g):
        y, x, alpha, beta = res
        signs = (2 * y - 1).astype(x.dtype)
        t = signs * (alpha + x @ beta)
        e = jnp.exp(-jnp.maximum(t, -cutoff))
        far = -e if slip else signs * e
        near = jnp.where(t < -cutoff, signs, signs * e / (1 + e))
        d = g * jnp.where(t > cutoff, far, near)
        return None, jnp.outer(d, beta), d.sum(), x.T @ d

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


@case(
    "tracel-ai/burn#5604",
    "pooling",
    lambda rng: (normal(rng, 2, 6), 2, 2, 0, True),
    Twin(
        "as reported",
        "edge|region|index|mask|factor|elements",
        "x",
        "A last window that hangs over is divided by the whole kernel's size.",
        witness=lambda rng: (normal(rng, 2, 5), 2, 2, 0, True),
    ),
    kind="bug",
    name="ceil_average_pool burn#5604",
)
def ceil_average_pool(slip):
    def windows(length, size, stride, pad, ceil_mode):
        """Rows of 0 and 1, one a window, and how many entries each is over."""
        room = length + 2 * pad - size
        count = (-(-room // stride) if ceil_mode else room // stride) + 1
        starts = np.arange(count) * stride - pad
        starts = starts[starts < length]
        at = np.arange(length)
        inside = (at >= starts[:, None]) & (at < starts[:, None] + size)
        ends = np.minimum(starts + size, length + pad)
        return inside, ends - starts

    def plain(x, size, stride, pad, ceil_mode):
        inside, over = windows(x.shape[-1], size, stride, pad, ceil_mode)
        return x @ jnp.asarray((inside / over[:, None]).T, x.dtype)

    pool = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3, 4))

    def fwd(x, size, stride, pad, ceil_mode):
        return plain(x, size, stride, pad, ceil_mode), x

    def bwd(size, stride, pad, ceil_mode, x, g):
        inside, over = windows(x.shape[-1], size, stride, pad, ceil_mode)
        share = g / jnp.asarray(np.full_like(over, size) if slip else over, g.dtype)
        return (share @ jnp.asarray(inside, g.dtype),)

    pool.defvjp(fwd, bwd)
    return pool, plain


def splats(cameras):
    def args(rng):
        turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(cameras)]
        views = jnp.asarray(np.stack(turns), jnp.float32)
        return unit_rows(rng, 3, 4), positive(rng, 3, 3), views

    return args


@case(
    "openvdb/fvdb-core#435",
    "rendering",
    splats(1),
    Twin(
        "as reported",
        "sum|axis|index|term",
        "quats",
        "Of several cameras, only the first one's gradient is kept.",
        witness=splats(2),
    ),
    kind="bug",
    name="camera_covariances fvdb-core#435",
)
def camera_covariances(slip):
    def rotations(quats):
        w, x, y, z = (quats / jnp.linalg.norm(quats, axis=1, keepdims=True)).T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    @jax.custom_vjp
    def covariances(quats, scales, views):
        axes = rotations(quats) * scales[:, None]
        m = jnp.einsum("cij,njk->cnik", views[:, :2], axes)
        return m @ m.mT

    def fwd(quats, scales, views):
        return covariances.fun(quats, scales, views), (quats, scales, views)

    def bwd(res, g):
        quats, scales, views = res
        turn, pull = jax.vjp(rotations, quats)
        axes = turn * scales[:, None]
        dm = (g + g.mT) @ jnp.einsum("cij,njk->cnik", views[:, :2], axes)
        daxes = jnp.einsum("cij,cnik->cnjk", views[:, :2], dm)
        dscales = (daxes.sum(0) * turn).sum(1)
        dturn = (daxes[0] if slip else daxes.sum(0)) * scales[:, None]
        dviews = jnp.einsum("cnik,njk->cij", dm, axes)
        dviews = jnp.concatenate([dviews, jnp.zeros_like(dviews[:, :1])], 1)
        return pull(dturn)[0], dscales, dviews

    covariances.defvjp(fwd, bwd)
    return covariances, covariances.fun
