"""Bugs with their threads: transforms, filters, plastic loops, members of bodies."""

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
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "FluxML/Zygote.jl#1377",
    "Fourier transform",
    lambda rng: (lax.complex(normal(rng, 3, 5), normal(rng, 3, 5)), 8),
    Twin(
        "as reported",
        "factor|ratio|constant|mask|region",
        "spectrum",
        "Frequencies that stand for their negatives as well count once.",
    ),
    kind="bug",
    name="irfft Zygote.jl#1377",
    narrow=False,
)
def irfft(slip):
    def plain(spectrum, length):
        return jnp.fft.irfft(spectrum, length)

    inverse = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(spectrum, length):
        return plain(spectrum, length), None

    def bwd(length, res, g):
        share = jnp.conj(jnp.fft.rfft(g)) / length
        number = jnp.arange(share.shape[-1])
        single = (number == 0) | (2 * number == length)
        return (share if slip else jnp.where(single, share, 2 * share),)

    inverse.defvjp(fwd, bwd)
    return inverse, plain


@case(
    "EnzymeAD/Enzyme-JAX#2071",
    "Fourier transform",
    lambda rng: (normal(rng, 4, 3), normal(rng, 4, 3)),
    Twin(
        "as reported",
        "sign|ratio|cotangent",
        "imaginary",
        "The gradient is conjugated on its way to the imaginary part.",
    ),
    kind="bug",
    name="fft_of_parts Enzyme-JAX#2071",
    narrow=False,
)
def fft_of_parts(slip):
    @jax.custom_vjp
    def transform(real, imaginary):
        return jnp.fft.fft2(lax.complex(real, imaginary))

    def fwd(real, imaginary):
        return transform.fun(real, imaginary), None

    def bwd(_, g):
        back = jnp.fft.fft2(g)
        return back.real, back.imag if slip else -back.imag

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


@case(
    "taichi-dev/taichi#8802",
    "plasticity",
    lambda rng: (positive(rng, 3, low=3.0, high=6.0), jnp.float32(2.0), 40),
    Twin(
        "as reported",
        "term|path|residual",
        "amplitude strength",
        "The plastic strain that a step hands to the next carries no gradient.",
    ),
    kind="bug",
    name="plastic_return_map taichi#8802",
)
def plastic_return_map(slip):
    def cycle(steps, dtype):
        return jnp.asarray(np.sin(2 * np.pi * np.arange(steps) / steps), dtype)

    def run(amplitude, strength, steps):
        def step(carry, wave):
            strain, slid = carry
            trial = amplitude * wave - strain
            over = jnp.maximum(jnp.abs(trial) - strength, 0)
            return (strain + jnp.sign(trial) * over, slid + over), trial

        zero = jnp.zeros_like(amplitude)
        return lax.scan(step, (zero, zero), cycle(steps, amplitude.dtype))

    def plain(amplitude, strength, steps):
        return run(amplitude, strength, steps)[0][1]

    slide = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(amplitude, strength, steps):
        (_, slid), trials = run(amplitude, strength, steps)
        return slid, (strength, trials)

    def bwd(steps, res, g):
        strength, trials = res

        def back(carry, item):
            dstrain, damplitude, dstrength = carry
            wave, trial = item
            side, yields = jnp.sign(trial), jnp.abs(trial) > strength
            dover = jnp.where(yields, g + side * dstrain, 0)
            dtrial = side * dover
            damplitude, dstrength = damplitude + wave * dtrial, dstrength - dover
            dstrain = dstrain if slip else dstrain - dtrial
            return (dstrain, damplitude, dstrength), None

        zero = jnp.zeros_like(g)
        items = cycle(steps, g.dtype), trials
        _, da, ds = lax.scan(back, (zero, zero, zero), items, reverse=True)[0]
        return da, ds.sum()

    slide.defvjp(fwd, bwd)
    return slide, plain


@case(
    "Trusted-AI/adversarial-robustness-toolbox#992",
    "filters",
    lambda rng: (normal(rng, 2, 10), jnp.array([1.0, 0.0, 1.0])),
    Twin(
        "as reported",
        "function|term|path|factor",
        "signal",
        "The cotangent passes the filter as it is.",
    ),
    kind="bug",
    name="fir_preprocessing adversarial-robustness-toolbox#992",
)
def fir_preprocessing(slip):
    def delayed(signal, taps):
        n = signal.shape[-1]
        return [jnp.pad(signal, ((0, 0), (k, 0)))[:, :n] for k in range(len(taps))]

    @jax.custom_vjp
    def preprocess(signal, taps):
        return jnp.tensordot(taps, jnp.stack(delayed(signal, taps)), 1)

    def fwd(signal, taps):
        return preprocess.fun(signal, taps), (signal, taps)

    def bwd(res, g):
        signal, taps = res
        dtaps = (jnp.stack(delayed(signal, taps)) * g).sum((1, 2))
        ahead = jnp.stack(delayed(g[:, ::-1], taps))[..., ::-1]
        return g if slip else jnp.tensordot(taps, ahead, 1), dtaps

    preprocess.defvjp(fwd, bwd)
    return preprocess, preprocess.fun


@case(
    "salilab/imp#1017",
    "rigid bodies",
    lambda rng: (unit_rows(rng, 4), normal(rng, 3), normal(rng, 5, 3)),
    Twin(
        "as reported",
        "term|path",
        "quaternion",
        "The gradient is projected as if the quaternion had been normalised before.",
    ),
    kind="bug",
    name="body_members imp#1017",
)
def body_members(slip):
    @jax.custom_vjp
    def place(quaternion, translation, members):
        w, u = quaternion[0], quaternion[1:]
        turned = (w * w - u @ u) * members + 2 * (members @ u)[:, None] * u
        return turned + 2 * w * jnp.cross(u, members) + translation

    def fwd(quaternion, translation, members):
        return place.fun(quaternion, translation, members), (quaternion, members)

    def bwd(res, g):
        quaternion, members = res
        w, u = quaternion[0], quaternion[1:]
        inner = (g * members).sum()
        crossed = jnp.cross(members, g).sum(0)
        dw = 2 * w * inner + 2 * u @ crossed
        du = -2 * u * inner + 2 * (members.T @ (g @ u) + g.T @ (members @ u))
        dquaternion = jnp.append(dw, du + 2 * w * crossed)
        if slip:
            along = quaternion @ dquaternion / (quaternion @ quaternion)
            dquaternion = dquaternion - along * quaternion
        dmembers = (w * w - u @ u) * g + 2 * (g @ u)[:, None] * u
        return dquaternion, g.sum(0), dmembers - 2 * w * jnp.cross(u, g)

    place.defvjp(fwd, bwd)
    return place, place.fun


def neighbourhoods(rng):
    mask = np.ones((3, 4), bool)
    mask[0, 2:] = mask[2, 3:] = False
    vectors = jnp.where(jnp.asarray(mask)[..., None], normal(rng, 3, 4, 3), 0)
    return vectors, jnp.asarray(mask)


@case(
    "atomistic-machine-learning/schnetpack#87",
    "descriptors",
    neighbourhoods,
    Twin(
        "as reported",
        "edge|nan|finite|mask",
        "vectors",
        "Padded neighbours are at no distance: not a number, times a mask of 0.",
    ),
    kind="bug",
    name="angular_symmetry schnetpack#87",
)
def angular_symmetry(slip):
    first, second = np.triu_indices(4, 1)

    def angles(vectors, mask):
        real = mask[:, first] & mask[:, second]
        squared = (vectors**2).sum(-1)
        r = jnp.sqrt(jnp.where(squared > 0, squared, 1))
        u, v = vectors[:, first], vectors[:, second]
        cos = (u * v).sum(-1) / (r[:, first] * r[:, second])
        far = jnp.exp(-(squared[:, first] + squared[:, second]) / 4)
        return real, r, u, v, cos, far

    @jax.custom_vjp
    def angular(vectors, mask):
        real, _, _, _, cos, far = angles(vectors, mask)
        return jnp.where(real, (1 + cos) ** 2 / 2 * far, 0).sum(-1)

    def fwd(vectors, mask):
        return angular.fun(vectors, mask), (vectors, mask)

    def bwd(res, g):
        vectors, mask = res
        real, r, u, v, cos, far = angles(vectors, mask)
        if slip:
            r = jnp.sqrt((vectors**2).sum(-1))
        ru, rv = r[:, first, None], r[:, second, None]
        weight = (g[:, None] * far)[..., None]
        dcos = weight * (1 + cos[..., None])
        fall = -weight * (1 + cos[..., None]) ** 2 / 4
        du = dcos * (v / (ru * rv) - cos[..., None] * u / ru**2) + fall * u
        dv = dcos * (u / (ru * rv) - cos[..., None] * v / rv**2) + fall * v
        if slip:
            du, dv = real[..., None] * du, real[..., None] * dv
        else:
            du, dv = (jnp.where(real[..., None], d, 0) for d in (du, dv))
        zero = jnp.zeros_like(vectors)
        return zero.at[:, first].add(du).at[:, second].add(dv), None

    angular.defvjp(fwd, bwd)
    return angular, angular.fun
