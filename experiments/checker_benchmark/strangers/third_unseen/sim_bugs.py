"""Bugs of transforms, rotations, sampling and loops, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

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
    "FluxML/Zygote.jl#1496",
    "spectrum",
    draw(x=(3, 6)),
    Twin(
        "as reported",
        "function|factor|ratio|region|index|elements|operand|transpose",
        "x",
        "The inverse times N: all but the ends of the spectrum count twice.",
    ),
    kind="bug",
    name="planned_rfft Zygote.jl#1496",
)
def planned_rfft(slip):
    @jax.custom_vjp
    def transform(x):
        return jnp.fft.rfft(x)

    def fwd(x):
        return jnp.fft.rfft(x), jnp.zeros_like(x)

    def bwd(like, g):
        n = like.shape[-1]
        if slip:
            return (n * jnp.fft.irfft(jnp.conj(g), n),)
        wide = jnp.pad(g, ((0, 0), (0, n - g.shape[-1])))
        return (jnp.fft.fft(wide).real,)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


def identities(rng):
    parts = normal(rng, 4, 3).at[1:].set(0)
    real = jnp.asarray([[0.8], [-1.0], [2.0], [1.0]], jnp.float32)
    return (jnp.concatenate([real, parts], -1),)


@case(
    "kornia/kornia#4246",
    "rotation",
    draw(q=(4, 4)),
    Twin(
        "as reported",
        "edge|zero|constant|factor|sign|ratio|region|operand|function",
        "q",
        "Without a vector part the slope is 2 whatever the real part is.",
        witness=identities,
    ),
    kind="bug",
    name="quaternion_to_axis_angle kornia#4246",
    narrow=False,
)
def quaternion_to_axis_angle(slip):
    def parts(q):
        w, v = q[..., :1], q[..., 1:]
        square = (v**2).sum(-1, keepdims=True)
        turned = square > 0
        length = jnp.sqrt(jnp.where(turned, square, 1))
        way = jnp.where(w < 0, -1, 1)
        angle = 2 * jnp.arctan2(way * length, way * w)
        resting = jnp.where(turned, 1, w)
        return w, v, turned, length, angle, resting

    @jax.custom_vjp
    def convert(q):
        _, v, turned, length, angle, resting = parts(q)
        return jnp.where(turned, angle / length, 2 / resting) * v

    def fwd(q):
        return convert.fun(q), q

    def bwd(q, g):
        w, v, turned, length, angle, resting = parts(q)
        along = (g * v).sum(-1, keepdims=True)
        whole = length**2 + w**2
        at_rest = 2.0 if slip else 2 / resting
        dv = jnp.where(turned, angle / length, at_rest) * g
        bend = (2 * w / whole - angle / length) / length**2
        dv = dv + jnp.where(turned, bend * along, 0) * v
        dw = jnp.where(turned, -2 / whole * along, 0)
        return (jnp.concatenate([dw, dv], -1),)

    convert.defvjp(fwd, bwd)
    return convert, convert.fun


@case(
    "ooples/AiDotNet.Tensors#582",
    "interpolation",
    lambda rng: (
        normal(rng, 4, 5, 2),
        jnp.asarray(rng.uniform(-0.9, 0.9, (3, 3, 2)), jnp.float32),
    ),
    Twin(
        "as reported",
        "option|ratio|constant|factor|function|index|operand",
        "image grid",
        "The way back takes the coordinates for those of aligned corners.",
    ),
    kind="bug",
    name="grid_sample AiDotNet.Tensors#582",
    fixed=(1,),
    narrow=False,
)
def grid_sample(slip):
    def pixel(coordinate, size, aligned):
        if aligned:
            return (coordinate + 1) * (size - 1) / 2, (size - 1) / 2
        return ((coordinate + 1) * size - 1) / 2, size / 2

    def corners(image, grid, aligned):
        (x, per_x), (y, per_y) = (
            pixel(grid[..., axis], image.shape[1 - axis], aligned) for axis in (0, 1)
        )
        left, top = jnp.floor(x), jnp.floor(y)
        for i in (0, 1):
            for j in (0, 1):
                row, column = (top + i).astype(int), (left + j).astype(int)
                inside = (row >= 0) & (row < image.shape[0])
                inside = inside & (column >= 0) & (column < image.shape[1])
                at = jnp.where(inside, row, 0), jnp.where(inside, column, 0)
                wy = y - top if i else 1 - (y - top)
                wx = x - left if j else 1 - (x - left)
                keep = inside.astype(image.dtype)
                slopes = (
                    keep * wy * (2 * j - 1) * per_x,
                    keep * wx * (2 * i - 1) * per_y,
                )
                yield at, keep * wy * wx, slopes

    @jax.custom_vjp
    def sample(image, grid):
        found = corners(image, grid, aligned=False)
        return sum(w[..., None] * image[at] for at, w, _ in found)

    def fwd(image, grid):
        return sample.fun(image, grid), (image, grid)

    def bwd(res, g):
        image, grid = res
        dimage, dx, dy = jnp.zeros_like(image), 0, 0
        for at, w, (sx, sy) in corners(image, grid, aligned=bool(slip)):
            dimage = dimage.at[at].add(w[..., None] * g)
            pulled = (g * image[at]).sum(-1)
            dx, dy = dx + pulled * sx, dy + pulled * sy
        return dimage, jnp.stack([dx, dy], -1)

    sample.defvjp(fwd, bwd)
    return sample, sample.fun


@case(
    "NVIDIA/warp#1740",
    "loop",
    lambda rng: (normal(rng, 3, 5), positive(rng, 3)),
    Twin(
        "as reported",
        "residual|operand|factor|function",
        "x start",
        "What follows the loop is pulled back at the sum's first value.",
    ),
    kind="bug",
    name="accumulate_then_apply warp#1740",
)
def accumulate_then_apply(slip):
    def total(x, start):
        return lax.fori_loop(0, x.shape[1], lambda k, s: s + x[:, k] ** 2, start)

    @jax.custom_vjp
    def inverse_sum(x, start):
        return 1 / total(x, start)

    def fwd(x, start):
        end = total(x, start)
        return 1 / end, (x, start if slip else end)

    def bwd(res, g):
        x, held = res
        dsum = -g / held**2
        return 2 * x * dsum[:, None], dsum

    inverse_sum.defvjp(fwd, bwd)
    return inverse_sum, inverse_sum.fun
