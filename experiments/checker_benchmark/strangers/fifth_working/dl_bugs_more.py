"""Bugs of layers with their threads: broadcast biases, borders, wrapped dropout."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "HKUSTDial/flash-sparse-attention#194",
    "attention with a bias",
    lambda rng: (*(normal(rng, 2, 5, 4) for _ in range(3)), normal(rng, 2, 1, 5)),
    Twin(
        "as reported",
        "sum|term|index|elements",
        "bias",
        "Of the queries that share a row of the bias the last one to write wins.",
    ),
    kind="bug",
    name="row_broadcast_bias_attention flash-sparse-attention#194",
)
def row_broadcast_bias_attention(slip):
    def weights(q, k, bias):
        return jax.nn.softmax(q @ k.mT / q.shape[-1] ** 0.5 + bias)

    @jax.custom_vjp
    def attend(q, k, v, bias):
        return weights(q, k, bias) @ v

    def fwd(q, k, v, bias):
        return attend.fun(q, k, v, bias), (q, k, v, bias)

    def bwd(res, g):
        q, k, v, bias = res
        p = weights(q, k, bias)
        dp = g @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        dbias = ds
        if bias.shape[-2] == 1:
            dbias = ds[..., -1:, :] if slip else ds.sum(-2, keepdims=True)
        scale = q.shape[-1] ** -0.5
        return scale * ds @ k, scale * ds.mT @ q, p.mT @ g, dbias

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def image_and_grid(rng):
    grid = jnp.asarray(rng.uniform(-1, 1, (12, 2)), jnp.float32)
    return normal(rng, 5, 6, 2), grid


@case(
    "ooples/AiDotNet.Tensors#22",
    "interpolation",
    image_and_grid,
    Twin(
        "as reported",
        "mask|region|predicate|term",
        "grid",
        "Points that are moved to the border get a gradient as if they were there.",
    ),
    kind="bug",
    name="border_grid_sample AiDotNet.Tensors#22",
    narrow=False,
)
def border_grid_sample(slip):
    def located(coordinate, size):
        """Pixel below, pixel above, fraction, and where the border is not reached."""
        at = ((coordinate + 1) * size - 1) / 2
        inside = (at > 0) & (at < size - 1)
        at = jnp.clip(at, 0, size - 1)
        below = jnp.floor(at).astype(int)
        return below, jnp.minimum(below + 1, size - 1), at - below, inside

    def corners(image, grid):
        x0, x1, fx, inside_x = located(grid[:, 0], image.shape[1])
        y0, y1, fy, inside_y = located(grid[:, 1], image.shape[0])
        places = (y0, x0), (y0, x1), (y1, x0), (y1, x1)
        return places, fx[:, None], fy[:, None], inside_x, inside_y

    @jax.custom_vjp
    def sample(image, grid):
        places, fx, fy, *_ = corners(image, grid)
        a, b, c, d = (image[place] for place in places)
        return (1 - fy) * ((1 - fx) * a + fx * b) + fy * ((1 - fx) * c + fx * d)

    def fwd(image, grid):
        return sample.fun(image, grid), (image, grid)

    def bwd(res, g):
        image, grid = res
        places, fx, fy, inside_x, inside_y = corners(image, grid)
        a, b, c, d = (image[place] for place in places)
        shares = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
        dimage = jnp.zeros_like(image)
        for place, share in zip(places, shares, strict=True):
            dimage = dimage.at[place].add(share * g)
        dx = (g * ((1 - fy) * (b - a) + fy * (d - c))).sum(-1) * image.shape[1] / 2
        dy = (g * ((1 - fx) * (c - a) + fx * (d - b))).sum(-1) * image.shape[0] / 2
        if not slip:
            dx, dy = jnp.where(inside_x, dx, 0), jnp.where(inside_y, dy, 0)
        return dimage, jnp.stack([dx, dy], -1)

    sample.defvjp(fwd, bwd)
    return sample, sample.fun


def wrapped(rng):
    params = {"w": normal(rng, 6, 4, std=0.4), "b": jnp.zeros(4)}
    return normal(rng, 5, 6), params, jax.random.PRNGKey(7), 0.25


@case(
    "ddbourgin/numpy-ml#94",
    "dropout",
    wrapped,
    Twin(
        "as reported",
        "mask|region|predicate|term",
        "x",
        "The gradient is scaled by the wrapper, but its mask is not applied.",
    ),
    kind="bug",
    name="dropout_wrapper numpy-ml#94",
    options=lambda plain: {"nondiff": ("key",)},
)
def dropout_wrapper(slip):
    def dropped(x, key, p):
        return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x, 0)

    def plain(x, params, key, p):
        inner = dropped(x, key, p) @ params["w"] + params["b"]
        return jnp.tanh(inner) / (1 - p)

    layer = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, params, key, p):
        return plain(x, params, key, p), (x, params, key)

    def bwd(p, res, g):
        x, params, key = res
        rows = dropped(x, key, p)
        out = jnp.tanh(rows @ params["w"] + params["b"])
        dinner = g / (1 - p) * (1 - out * out)
        dx = dinner @ params["w"].T
        dx = dx if slip else dropped(dx, key, p)
        return dx, {"w": rows.T @ dinner, "b": dinner.sum(0)}, None

    layer.defvjp(fwd, bwd)
    return layer, plain
