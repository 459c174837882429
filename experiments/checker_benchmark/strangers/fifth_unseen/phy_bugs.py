"""Bugs with their threads: spectra, waves, projections, motions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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
    "ooples/AiDotNet.Tensors#911",
    "spectrum",
    lambda rng: (normal(rng, 2, 24), 8, 4),
    Twin(
        "as reported",
        "function|factor|ratio|operand|residual",
        "x",
        "The cotangent is resynthesised by the inverse transform, which is no adjoint.",
    ),
    kind="bug",
    name="spectrogram AiDotNet.Tensors#911",
)
def spectrogram(slip):
    def window(size, dtype):
        return jnp.asarray(np.hanning(size + 1)[:-1], dtype)

    def places(length, size, hop):
        starts = np.arange(0, length - size + 1, hop)
        return starts[:, None] + np.arange(size)

    def transform(x, size, hop):
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        frames = x[:, places(x.shape[1], size, hop)]
        return jnp.fft.rfft(frames * window(size, x.dtype))

    def absolute(z):
        squared = z.real**2 + z.imag**2
        return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)

    def plain(x, size, hop):
        return absolute(transform(x, size, hop)).astype(x.dtype)

    magnitude = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, size, hop):
        return plain(x, size, hop), x

    def bwd(size, hop, x, g):
        spectrum = transform(x, size, hop)
        length = absolute(spectrum)
        phase = spectrum / jnp.where(length > 0, length, 1)
        at = places(x.shape[1], size, hop)
        w = window(size, length.dtype)
        out = jnp.zeros(x.shape, length.dtype).at[:, at]
        if slip:
            summed = jnp.zeros(x.shape[1], length.dtype).at[at].add(w**2)
            dx = out.add(jnp.fft.irfft(g * phase, size) * w)
            dx = dx / jnp.where(summed > 1e-8, summed, 1)
        else:
            sides = np.full(size // 2 + 1, size / 2)
            sides[: 1 if size % 2 else None : size // 2] = size
            single = jnp.asarray(sides, length.dtype)
            dx = out.add(jnp.fft.irfft(g * phase * single, size) * w)
        return (dx.astype(x.dtype),)

    magnitude.defvjp(fwd, bwd)
    return magnitude, plain


@case(
    "DeepWave-KAUST/sweep#17",
    "time stepping",
    lambda rng: (positive(rng, 12, low=0.8, high=1.2), normal(rng, 10), 0.5),
    Twin(
        "as reported",
        "transpose|function|operand|swap",
        "velocity source",
        "The adjoint wave is stepped as the wave is: the Laplacian before the speed.",
    ),
    kind="bug",
    name="acoustic_step sweep#17",
    fixed=(0,),
)
def acoustic_step(slip):
    shot, receivers = 2, np.array([6, 9])

    def laplacian(u):
        wide = jnp.pad(u, 1)
        return wide[2:] - 2 * u + wide[:-2]

    def run(velocity, source, dt):
        def step(state, s):
            u, old = state
            bent = laplacian(u)
            new = 2 * u - old + (dt * velocity) ** 2 * bent
            new = new.at[shot].add(s)
            return (new, u), (new[receivers], bent)

        rest = jnp.zeros_like(velocity)
        return lax.scan(step, (rest, rest), source)[1]

    def plain(velocity, source, dt):
        return run(velocity, source, dt)[0]

    record = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(velocity, source, dt):
        traces, bents = run(velocity, source, dt)
        return traces, (velocity, bents)

    def bwd(dt, res, g):
        velocity, bents = res

        def back(carry, item):
            a, b, dvelocity = carry
            g, bent = item
            a = a.at[receivers].add(g)
            dvelocity = dvelocity + 2 * dt**2 * velocity * bent * a
            if slip:
                force = (dt * velocity) ** 2 * laplacian(a)
            else:
                force = laplacian((dt * velocity) ** 2 * a)
            return (2 * a + force + b, -a, dvelocity), a[shot]

        start = (jnp.zeros_like(velocity),) * 3
        (_, _, dvelocity), dsource = lax.scan(back, start, (g, bents), reverse=True)
        return dvelocity, dsource

    record.defvjp(fwd, bwd)
    return record, plain


@case(
    "michael-0brien/cryojax#566",
    "transform off the grid",
    lambda rng: (positive(rng, 5, 2, low=-0.4, high=0.4), positive(rng, 5), 6),
    Twin(
        "as reported",
        "index|option|operand|elements|swap|region",
        "positions weights",
        "Frequencies come in the order of the FFT and are read back as centred.",
    ),
    kind="bug",
    name="atom_projection cryojax#566",
    narrow=False,
)
def atom_projection(slip):
    def waves(positions, size, centred):
        k = np.fft.fftfreq(size, 1 / size)
        k = jnp.asarray(np.fft.fftshift(k) if centred else k, positions.dtype)
        angles = -2 * jnp.pi * positions[:, :, None] * k
        wave = lax.complex(jnp.cos(angles), jnp.sin(angles))
        return wave[:, 0, :, None], wave[:, 1, None, :], k

    def plain(positions, weights, size):
        rows, columns, _ = waves(positions, size, False)
        return (weights[:, None, None] * rows * columns).sum(0)

    project = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(positions, weights, size):
        return plain(positions, weights, size), (positions, weights)

    def bwd(size, res, g):
        positions, weights = res
        rows, columns, k = waves(positions, size, bool(slip))
        each = g * rows * columns
        slopes = [each * k[:, None], each * k]
        turned = jnp.stack([s.sum((1, 2)).imag for s in slopes], 1)
        dpositions = 2 * jnp.pi * weights[:, None] * turned
        return dpositions, each.sum((1, 2)).real

    project.defvjp(fwd, bwd)
    return project, plain


def resting(rng):
    return (normal(rng, 4, 3).at[0].set(0),)


@case(
    "kornia/kornia#4404",
    "rigid motion",
    lambda rng: (normal(rng, 4, 3),),
    Twin(
        "as reported",
        "edge|nan|finite",
        "twist",
        "At the identity the gradient is zero over zero; the value is guarded.",
        witness=resting,
    ),
    kind="bug",
    name="se2_exponential kornia#4404",
)
def se2_exponential(slip):
    def series(a, first):
        """first! times the sum over n of (-a^2)^n / (first + 2n)!, near zero."""
        steps = [-1 / ((first + j) * (first + j + 1)) for j in range(1, 12, 2)]
        terms = np.cumprod([1.0, *steps])
        return jnp.polyval(jnp.asarray(terms[::-1].copy(), a.dtype), a * a)

    def ratios(a):
        """sin(a) / a, (1 - cos(a)) / a and the slopes of both."""
        near = jnp.abs(a) < 0.5
        wide = jnp.where(near, 1, a)
        small = jnp.where(near, a, 0)
        s = jnp.where(near, series(small, 1), jnp.sin(wide) / wide)
        c = jnp.where(near, small * series(small, 2) / 2, (1 - jnp.cos(wide)) / wide)
        third = series(small, 3)
        fifth = small * (series(small, 2) / 2 - third / 6)
        ds = jnp.where(near, -fifth, (jnp.cos(wide) - s) / wide)
        dc = jnp.where(
            near, series(small, 1) - series(small, 2) / 2, jnp.sin(wide) / wide
        )
        dc = jnp.where(near, dc, dc - c / wide)
        return s, c, ds, dc

    @jax.custom_vjp
    def exponential(twist):
        x, y, a = jnp.moveaxis(twist, -1, 0)
        s, c, *_ = ratios(a)
        shift = jnp.stack([s * x - c * y, c * x + s * y], -1)
        cos, sin = jnp.cos(a), jnp.sin(a)
        turn = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
        return shift, turn

    def fwd(twist):
        return exponential.fun(twist), twist

    def bwd(twist, g):
        x, y, a = jnp.moveaxis(twist, -1, 0)
        gx, gy = jnp.moveaxis(g[0], -1, 0)
        s, c, ds, dc = ratios(a)
        if slip:
            ds, dc = (jnp.cos(a) - s) / a, (jnp.sin(a) - c) / a
        cos, sin = jnp.cos(a), jnp.sin(a)
        da = ds * (gx * x + gy * y) + dc * (gy * x - gx * y)
        da = da - sin * (g[1][..., 0, 0] + g[1][..., 1, 1])
        da = da + cos * (g[1][..., 1, 0] - g[1][..., 0, 1])
        return (jnp.stack([s * gx + c * gy, s * gy - c * gx, da], -1),)

    exponential.defvjp(fwd, bwd)
    return exponential, exponential.fun
