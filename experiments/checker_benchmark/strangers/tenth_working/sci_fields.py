"""Steps of fields on grids."""

import jax
import jax.numpy as jnp
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
    "split-step Fourier method of nonlinear optics in jax",
    "complex spectral step",
    lambda rng: (normal(rng, 8) + 1j * normal(rng, 8), positive(rng, 8), 0.3),
    Twin(
        "intensity",
        "term|path",
        "psi",
        "What the field does to its own phase is left out.",
    ),
    Twin(
        "conjugate propagator",
        "sign|function|transpose|operand",
        "psi potential",
        "The linear part goes back with the conjugate propagator.",
    ),
    Twin(
        "inverse size",
        "factor|ratio",
        "psi potential",
        "The transforms are normalised as if they were unitary each.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def split_step_schrodinger(slip):
    def kinetic(n, dt):
        k = 2 * jnp.pi * jnp.fft.fftfreq(n)
        return jnp.exp(-0.5j * dt * k * k)

    def kick(psi, potential, dt):
        return jnp.exp(-1j * dt * (potential + psi.real**2 + psi.imag**2))

    def plain(psi, potential, dt):
        kicked = psi * kick(psi, potential, dt)
        K = kinetic(len(psi), dt).astype(psi.dtype)
        return jnp.fft.ifft(K * jnp.fft.fft(kicked))

    step = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(psi, potential, dt):
        return plain(psi, potential, dt), (psi, potential)

    def bwd(dt, res, ct):
        psi, potential = res
        K = kinetic(len(psi), dt).astype(psi.dtype)
        if slip == "conjugate propagator":
            K = K.conj()
        # the pair of transforms is symmetric: its transpose is ifft's and fft's own
        back = jnp.fft.fft(K * jnp.fft.ifft(ct))
        if slip == "inverse size":
            back = back / jnp.sqrt(len(psi))
        turn = kick(psi, potential, dt)
        dphase = (back * psi * turn * (-1j * dt)).real
        dpsi = back * turn
        if slip != "intensity":
            dpsi = dpsi + 2 * dphase * psi.conj()
        return dpsi, dphase

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "finite volumes with harmonic means of permeabilities (JutulDarcy-like) in jax",
    "stencil with coefficients at faces",
    lambda rng: (normal(rng, 4, 5), positive(rng, 4, 5)),
    Twin(
        "harmonic mean",
        "function|factor|term|power|ratio|operand|residual",
        "perm",
        "The face's mean is differentiated as an arithmetic one.",
    ),
    Twin(
        "one neighbour",
        "term|path|edge",
        "perm",
        "A face's permeability is that of its left cell alone.",
    ),
    Twin(
        "axis",
        "axis|index|term|path|swap|residual|operand",
        "pressure",
        "The second axis's fluxes go back along the rows only half.",
    ),
)
def darcy_flux_divergence(slip):
    def lo(a, ax):
        return lax.slice_in_dim(a, 0, a.shape[ax] - 1, axis=ax)

    def hi(a, ax):
        return lax.slice_in_dim(a, 1, a.shape[ax], axis=ax)

    def pad(a, ax, side):
        w = [(0, 0), (0, 0)]
        w[ax] = (1, 0) if side == "hi" else (0, 1)
        return jnp.pad(a, w)

    def face(perm, ax):
        a, b = lo(perm, ax), hi(perm, ax)
        return 2 * a * b / (a + b)

    def plain(pressure, perm):
        out = jnp.zeros_like(pressure)
        for ax in (0, 1):
            flux = face(perm, ax) * (hi(pressure, ax) - lo(pressure, ax))
            out = out + pad(flux, ax, "lo") - pad(flux, ax, "hi")
        return out

    div = jax.custom_vjp(plain)

    def fwd(pressure, perm):
        return plain(pressure, perm), (pressure, perm)

    def bwd(res, g):
        p, k = res
        dp, dk = jnp.zeros_like(p), jnp.zeros_like(k)
        for ax in (0, 1):
            dflux = lo(g, ax) - hi(g, ax)
            dgrad = face(k, ax) * dflux
            if slip == "axis" and ax == 1:
                dgrad = dgrad / 2
            dp = dp + pad(dgrad, ax, "hi") - pad(dgrad, ax, "lo")
            dface = dflux * (hi(p, ax) - lo(p, ax))
            a, b = lo(k, ax), hi(k, ax)
            if slip == "harmonic mean":
                da = db = dface / 2
            else:
                da, db = (2 * dface * (v / (a + b)) ** 2 for v in (b, a))
            dk = dk + pad(da, ax, "lo")
            if slip != "one neighbour":
                dk = dk + pad(db, ax, "hi")
        return dp, dk

    div.defvjp(fwd, bwd)
    return div, plain
