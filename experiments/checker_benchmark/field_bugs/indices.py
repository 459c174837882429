"""Classes B8, B12 and C6: what is stored, where it came from, where it goes."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import indexing
from experiments.checker_benchmark.bank.record import array, generator, normal
from experiments.checker_benchmark.field_bugs.sums import ROWS, floats, one


def batchnorm_inverse_bwd(res, dy):
    xhat, rstd = res
    scale = lax.rsqrt(rstd + 1e-5)  # rstd taken for a variance
    return (scale * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0)),)


def plain_batchnorm(x):
    return plain_batchnorm_fwd(x)[0]


def plain_batchnorm_fwd(x):
    centred = x - x.mean(0)
    rstd = lax.rsqrt((centred**2).mean(0) + 1e-5)
    return centred * rstd, (centred * rstd, rstd)


def plain_rmsnorm(x):
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def plain_rmsnorm_fwd(x):
    var = (x * x).mean(-1, keepdims=True)
    return x * lax.rsqrt(var + 1e-6), (x, var)  # var stored where rstd was meant


def plain_rmsnorm_bwd(res, dy):
    x, rstd = res
    xhat = x * rstd
    return (rstd * (dy - xhat * (dy * xhat).mean(-1, keepdims=True)),)


def take_along(x, ids):
    return indexing.gather(x, ids)


def take_along_bwd(res, dy):
    x, ids = res
    rows = jnp.arange(ids.shape[0])[:, None]
    return jnp.zeros_like(x).at[rows, ids].set(dy), None


def lookup(table, ids):
    return table[ids]


def lookup_overwriting_bwd(res, dy):
    table, ids = res
    return jnp.zeros_like(table).at[ids].set(dy), None


def lookup_gathering_bwd(res, dy):
    table, ids = res
    wrapped = jnp.arange(table.shape[0]) % ids.shape[0]
    return dy[ids[wrapped] % dy.shape[0]], None  # the adjoint of a scatter


def lookup_half_bwd(res, dy):
    table, ids = res
    zeros = jnp.zeros(table.shape, jnp.bfloat16)
    return zeros.at[ids].add(dy.astype(jnp.bfloat16)).astype(table.dtype), None


def overlapping_max(x):
    """Largest of each window of three, stride one; x [N, T]."""
    return jnp.maximum(jnp.maximum(x[:, :-2], x[:, 1:-1]), x[:, 2:])


def overlapping_max_bwd(res, dy):
    (x,) = res
    windows = jnp.stack([x[:, :-2], x[:, 1:-1], x[:, 2:]], -1)
    where = windows.argmax(-1) + jnp.arange(dy.shape[1])
    rows = jnp.arange(x.shape[0])[:, None]
    return (jnp.zeros_like(x).at[rows, where].set(dy),)


def image_scale(x, gain):
    """x [H, W] times gain []."""
    return gain * x


def image_scale_bwd(res, dy):
    x, gain = res
    H, W = x.shape
    seen = jnp.arange(H)[:, None] < W  # the loop over rows ran to the width
    return jnp.where(seen, gain * dy, 0), (dy * x).sum()


def patch_max(x):
    """Largest of each 2 by 2 patch; x [H, W], both even."""
    H, W = x.shape
    return x.reshape(H // 2, 2, W // 2, 2).max((1, 3))


def patch_max_bwd(res, dy):
    (x,) = res
    H = x.shape[0]
    spread = jnp.repeat(jnp.repeat(dy, 2, 0), 2, 1)
    top = x == jnp.repeat(jnp.repeat(patch_max(x), 2, 0), 2, 1)
    first = jnp.arange(H)[:, None] < 2  # returned inside of the loop
    return (jnp.where(top & first, spread, 0),)


def images(key, H, W):
    return (array(generator(key), "H W", {"H": H, "W": W}),)


BUGS = (
    one(
        "flagos-ai/FlagGems#5222",
        "B8",
        "The saved inverse deviation was treated as a variance.",
        plain_batchnorm,
        batchnorm_inverse_bwd,
        floats("N D"),
        "N=7 D=3 | N=4 D=4",
        "residual",
        plain_batchnorm_fwd,
    ),
    one(
        "flagos-ai/FlagGems#5771",
        "B8",
        "The forward stored the mean square where the backward reads its rsqrt.",
        plain_rmsnorm,
        plain_rmsnorm_bwd,
        floats("N D"),
        ROWS,
        "residual",
        plain_rmsnorm_fwd,
    ),
    one(
        "pytorch/pytorch#1631",
        "B12",
        "gather's backward kept the last contribution to a repeated index.",
        take_along,
        take_along_bwd,
        indexing.rows_and_ids,
        "N=3 D=4 K=7 | N=4 D=4 K=4",
        "duplicates",
    ),
    one(
        "PaddlePaddle/Paddle#17662",
        "B12",
        "Rows gathered twice had their gradient overwritten.",
        lookup,
        lookup_overwriting_bwd,
        indexing.table_and_ids,
        "V=7 D=3 N=11 | V=4 D=4 N=4",
        "duplicates",
    ),
    one(
        "ooples/AiDotNet.Tensors#894",
        "B12",
        "gather's backward borrowed the backward of a scatter, which gathers.",
        lookup,
        lookup_gathering_bwd,
        indexing.table_and_ids,
        "V=7 D=3 N=11 | V=4 D=4 N=4",
        "index",
    ),
    one(
        "tenstorrent/tt-metal#53386",
        "D1",
        "Frequent tokens' gradients were added up in bfloat16 and lost increments.",
        lookup,
        lookup_half_bwd,
        indexing.table_and_ids,
        "V=3 D=3 N=31 | V=2 D=4 N=16",
        "precision",
    ),
    one(
        "FluxML/Flux.jl#1197",
        "B12",
        "Overlapping pooling windows overwrote each other's gradient.",
        overlapping_max,
        overlapping_max_bwd,
        floats("N T"),
        "N=3 T=11 | N=4 T=8",
        "duplicates",
    ),
    one(
        "pytorch/pytorch#36820",
        "C6",
        "Height and width were exchanged, so the longer side got no gradient.",
        image_scale,
        image_scale_bwd,
        lambda key, H, W: normal("H W", "")(key, H=H, W=W),
        "H=7 W=3 | H=5 W=4",
        "index",
    ),
    one(
        "riccardoandreoni0/CNN-from-scratch#1",
        "C6",
        "A return one indent too deep ended pooling's backward after a row.",
        patch_max,
        patch_max_bwd,
        images,
        "H=6 W=4 | H=4 W=4",
        "index",
    ),
)
