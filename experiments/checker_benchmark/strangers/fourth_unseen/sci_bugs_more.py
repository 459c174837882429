"""More bugs with their threads: textures, radiographs, transforms, bodies."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "isaac-for-healthcare/i4h-sensor-simulation#68",
    "rendering",
    lambda rng: (positive(rng, 8, 5, low=0, high=1), 0.2, True, True),
    Twin(
        "as reported",
        "term|path|sign|factor|operand|function",
        "density",
        "The image is normalised and inverted; the cotangent is that of the raw one.",
    ),
    kind="bug",
    name="drr_intensity i4h-sensor-simulation#68",
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def drr_intensity(slip):
    """A radiograph: one row of densities for each ray, steps of one length."""

    def raw(density, step):
        return jnp.exp(-step * density.sum(-1))

    def plain(density, step, normalise, invert):
        image = raw(density, step)
        if normalise:
            low, high = image.min(), image.max()
            image = (image - low) / (high - low + 1e-8)
        return 1 - image if invert else image

    render = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(density, step, normalise, invert):
        return plain(density, step, normalise, invert), density

    def bwd(step, normalise, invert, density, g):
        image = raw(density, step)
        if not slip:
            g = -g if invert else g
        if normalise and not slip:
            low, high = image.min(), image.max()
            extent = high - low + 1e-8
            share = (image - low) / extent
            at_low, at_high = image == low, image == high
            dlow = (g * (share - 1)).sum() / extent / at_low.sum()
            dhigh = -(g * share).sum() / extent / at_high.sum()
            g = g / extent + jnp.where(at_low, dlow, 0) + jnp.where(at_high, dhigh, 0)
        each = -step * image * g
        return (jnp.broadcast_to(each[:, None], density.shape),)

    render.defvjp(fwd, bwd)
    return render, plain


@case(
    "ShichenLiu/SoftRas#11",
    "rendering",
    draw(scores=(4, 3), textures=(3, 3)),
    Twin(
        "as reported",
        "index|elements|region|sum",
        "textures",
        "The textures' gradients of all faces are added to those of the first.",
    ),
    kind="bug",
    name="face_texture SoftRas#11",
)
def face_texture(slip):
    """Colours of pixels: textures of the faces, shared out by a softmax."""

    @jax.custom_vjp
    def shade(scores, textures):
        return jax.nn.softmax(scores, -1) @ textures

    def fwd(scores, textures):
        share = jax.nn.softmax(scores, -1)
        return share @ textures, (share, textures)

    def bwd(res, g):
        share, textures = res
        dshare = g @ textures.T
        dscores = share * (dshare - (share * dshare).sum(-1, keepdims=True))
        dtextures = share.T @ g
        if slip:
            total = dtextures.sum(0)
            dtextures = jnp.zeros_like(dtextures).at[0].set(total)
        return dscores, dtextures

    shade.defvjp(fwd, bwd)
    return shade, shade.fun


def samples_of_k_space(rng):
    parts = rng.normal(size=(2, 6)).astype(np.float32)
    points = jnp.asarray(rng.uniform(-np.pi, np.pi, 5), jnp.float32)
    return lax.complex(*jnp.asarray(parts)), points


@case(
    "mrphys/tensorflow-nufft#18",
    "transform off the grid",
    samples_of_k_space,
    Twin(
        "as reported",
        "sign|operand|function|factor|transpose",
        "points",
        "In the trajectory's gradient a conjugate is missing.",
    ),
    kind="bug",
    name="nufft_points tensorflow-nufft#18",
    narrow=False,
)
def nufft_points(slip):
    """Fourier series of a complex signal at any frequencies, in radians."""

    def waves(points, length):
        places = jnp.arange(length) - length // 2
        phase = points[:, None] * places
        return places, lax.complex(jnp.cos(phase), -jnp.sin(phase))

    @jax.custom_vjp
    def transform(signal, points):
        return waves(points, len(signal))[1] @ signal

    def fwd(signal, points):
        return transform.fun(signal, points), (signal, points)

    def bwd(res, g):
        """JAX pairs cotangents without conjugation: g * dy, its real part."""
        signal, points = res
        places, wave = waves(points, len(signal))
        slope = wave @ (places * signal)  # times -i
        towards = g.conj() if slip else g
        dpoints = (towards * slope).imag
        return g @ wave, dpoints

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


def body(rng):
    place, points = normal(rng, 3), normal(rng, 5, 3)
    return jnp.concatenate([place, unit_rows(rng, 4)]), points


@case(
    "Genesis-Embodied-AI/genesis-world#2842",
    "rigid transforms",
    body,
    Twin(
        "as reported",
        "term|path",
        "pose",
        "That the quaternion is normalised first is left out.",
    ),
    kind="bug",
    name="free_joint genesis-world#2842",
    options=lambda plain: {"edges": False},
    narrow=False,
)
def free_joint(slip):
    """Points of a free body in the world: its place and any quaternion, w first."""

    def normalised(pose):
        norm = jnp.linalg.norm(pose[3:])
        return pose[3:] / norm, norm

    def turn(w, u, points):
        aside = jnp.cross(u, points)
        return points + 2 * w * aside + 2 * jnp.cross(u, aside)

    @jax.custom_vjp
    def place(pose, points):
        q, _ = normalised(pose)
        return pose[:3] + turn(q[0], q[1:], points)

    def fwd(pose, points):
        return place.fun(pose, points), (pose, points)

    def bwd(res, g):
        pose, points = res
        q, norm = normalised(pose)
        w, u = q[0], q[1:]
        dw = 2 * (g * jnp.cross(u, points)).sum()
        du = 2 * w * jnp.cross(points, g).sum(0)
        du = du + 2 * ((points @ u) @ g + (g @ u) @ points - 2 * (g * points).sum() * u)
        dq = jnp.concatenate([dw[None], du])
        if not slip:
            dq = (dq - (dq @ q) * q) / norm
        return jnp.concatenate([g.sum(0), dq]), turn(w, -u, g)

    place.defvjp(fwd, bwd)
    return place, place.fun
