"""Stresses, mixtures, torsions and magnitudes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "linear elasticity in jax-fem",
    "stress with two outputs",
    lambda rng: (normal(rng, 4, 3, 3), jnp.float32(1.4), jnp.float32(0.8)),
    Twin(
        "symmetric part",
        "transpose|term|path",
        "gradient",
        "The cotangent is not made symmetric as the strain was.",
    ),
    Twin(
        "pressure",
        "term|path|sum",
        "gradient",
        "The trace's part of the strain's gradient is forgotten.",
    ),
    Twin(
        "energy",
        "term|zero|cotangent|sum",
        "gradient lam mu",
        "The cotangent of the energy is ignored.",
    ),
)
def hooke_stress(slip):
    def strain(gradient):
        e = 0.5 * (gradient + gradient.mT)
        return e, jnp.trace(e, axis1=-2, axis2=-1)

    @jax.custom_vjp
    def stress(gradient, lam, mu):
        e, t = strain(gradient)
        s = lam * t[:, None, None] * jnp.eye(3, dtype=e.dtype) + 2 * mu * e
        return s, 0.5 * (s * e).sum((1, 2))

    def fwd(gradient, lam, mu):
        out = stress.fun(gradient, lam, mu)
        return out, (gradient, lam, mu, out[0])

    def bwd(res, g):
        gradient, lam, mu, s = res
        e, t = strain(gradient)
        ds, denergy = g
        if slip == "energy":
            denergy = jnp.zeros_like(denergy)
        dt = jnp.trace(ds, axis1=-2, axis2=-1)
        de = 2 * mu * ds + denergy[:, None, None] * s
        if slip != "pressure":
            de = de + (lam * dt)[:, None, None] * jnp.eye(3, dtype=e.dtype)
        dlam = (dt * t).sum() + (0.5 * denergy * t**2).sum()
        dmu = 2 * (ds * e).sum() + (denergy * (e * e).sum((1, 2))).sum()
        if slip != "symmetric part":
            de = 0.5 * (de + de.mT)
        return de, dlam, dmu

    stress.defvjp(fwd, bwd)
    return stress, stress.fun


def feed(shift):
    def args(rng):
        wells = jnp.asarray([1.1, 0.4, -0.6, -1.2], jnp.float32)
        return normal(rng, 4, std=0.3), wells + shift

    return args


@case(
    "flash calculations by Rachford and Rice in thermo codes",
    "implicit solution with two outputs",
    feed(0.0),
    Twin(
        "liquid through the vapour share",
        "term|path",
        "logits log_k",
        "The liquid depends on the vapour's share; that path is forgotten.",
    ),
    Twin(
        "slope's sign",
        "sign|ratio|affine",
        "logits log_k",
        "The slope at the root has the other sign.",
    ),
    Twin(
        "all liquid",
        "mask|region|predicate|edge",
        "logits log_k",
        "Below the bubble point there is no vapour, whose share gets a gradient.",
        witness=feed(-2.0),
    ),
    narrow=False,
)
def rachford_rice(slip):
    def slopes(v, z, k):
        part = (k - 1) / (1 + v * (k - 1))
        return (z * part).sum(), -(z * part**2).sum(), part

    def root(z, k):
        def halve(_, ends):
            low, high = ends
            middle = 0.5 * (low + high)
            up = slopes(middle, z, k)[0] > 0
            return jnp.where(up, middle, low), jnp.where(up, high, middle)

        ends = (jnp.zeros_like(z[0]), jnp.ones_like(z[0]))
        v = sum(lax.fori_loop(0, 60, halve, ends)) / 2
        first, last = slopes(0.0, z, k)[0], slopes(1.0, z, k)[0]
        two = (first > 0) & (last < 0)
        return jnp.where(two, v, jnp.where(first > 0, 1.0, 0.0).astype(v.dtype)), two

    def plain(logits, log_k):
        z, k = jax.nn.softmax(logits), jnp.exp(log_k)
        v, two = root(lax.stop_gradient(z), lax.stop_gradient(k))
        f, df, _ = slopes(v, z, k)
        step = f / jnp.where(two, lax.stop_gradient(df), 1)
        v = v - jnp.where(two, step - lax.stop_gradient(step), 0)
        return v, z / (1 + v * (k - 1))

    flash = jax.custom_vjp(plain)

    def fwd(logits, log_k):
        v, liquid = plain(logits, log_k)
        return (v, liquid), (logits, log_k, v, liquid)

    def bwd(res, g):
        logits, log_k, v, liquid = res
        z, k = jax.nn.softmax(logits), jnp.exp(log_k)
        two = root(z, k)[1]
        _, df, part = slopes(v, z, k)
        dv, dliquid = g
        bottom = 1 + v * (k - 1)
        if slip != "liquid through the vapour share":
            dv = dv - (dliquid * liquid * part).sum()
        df = -df if slip == "slope's sign" else df
        if slip == "all liquid":
            du = -dv / df
        else:
            du = jnp.where(two, -dv / jnp.where(two, df, 1), 0)
        dz = dliquid / bottom + du * part
        dk = -dliquid * liquid * v / bottom + du * z / bottom**2
        return z * (dz - (z * dz).sum()), dk * k

    flash.defvjp(fwd, bwd)
    return flash, plain


def molecule(rng):
    tables = {"force": normal(rng, 3, 4), "phase": normal(rng, 3, 4)}
    kinds = jnp.asarray([0, 2, 2, 1, 0, 2], jnp.int32)
    return normal(rng, 6, std=1.5), tables, kinds


@case(
    "periodic torsion terms in jax-md and openmm ports",
    "energy of torsions",
    molecule,
    Twin(
        "periodicity",
        "factor|ratio|affine",
        "angle",
        "The n of the n-fold term is forgotten in the torque.",
    ),
    Twin(
        "same kind",
        "duplicates|index|sum",
        "tables",
        "Torsions of the same kind overwrite each other's gradients.",
    ),
    Twin(
        "phase sign",
        "sign|ratio",
        "tables",
        "The phase is subtracted from the angle, its gradient is the angle's.",
    ),
    narrow=False,
)
def periodic_torsion_energy(slip):
    def pieces(angle, tables, kinds):
        n = jnp.arange(1, 1 + tables["force"].shape[1])
        inner = n * angle[:, None] - tables["phase"][kinds]
        return n, tables["force"][kinds], inner

    @jax.custom_vjp
    def energy(angle, tables, kinds):
        _, force, inner = pieces(angle, tables, kinds)
        return (force * (1 + jnp.cos(inner))).sum(1)

    def fwd(angle, tables, kinds):
        return energy.fun(angle, tables, kinds), (angle, tables, kinds)

    def bwd(res, g):
        angle, tables, kinds = res
        n, force, inner = pieces(angle, tables, kinds)
        dinner = -g[:, None] * force * jnp.sin(inner)
        fold = jnp.ones_like(n) if slip == "periodicity" else n

        def spread(rows):
            at = jnp.zeros_like(tables["force"]).at[kinds]
            return at.set(rows) if slip == "same kind" else at.add(rows)

        dphase = dinner if slip == "phase sign" else -dinner
        dforce = g[:, None] * (1 + jnp.cos(inner))
        grads = {"force": spread(dforce), "phase": spread(dphase)}
        unused = np.zeros(kinds.shape, jax.dtypes.float0)
        return (dinner * fold).sum(1), grads, unused

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


@case(
    "asinh magnitudes of SDSS in photometric fits",
    "astronomical magnitudes",
    lambda rng: (normal(rng, 5, 3), normal(rng, 3, mean=-1.0, std=0.4)),
    Twin(
        "logarithm of the softening",
        "term|path",
        "log_softening",
        "The softening is also added as a logarithm; that part is forgotten.",
    ),
    Twin(
        "natural logarithm",
        "factor|ratio",
        "flux",
        "The logarithm of ten is forgotten.",
    ),
    Twin(
        "sources averaged",
        "sum|ratio|factor",
        "log_softening",
        "The softening of a band gets the mean over the sources.",
    ),
)
def asinh_magnitude(slip):
    pogson = 2.5 / 2.302585092994046

    @jax.custom_vjp
    def magnitude(flux, log_softening):
        scaled = flux / (2 * jnp.exp(log_softening))
        return -pogson * (jnp.arcsinh(scaled) + log_softening)

    def fwd(flux, log_softening):
        return magnitude.fun(flux, log_softening), (flux, log_softening)

    def bwd(res, g):
        flux, log_softening = res
        size = jnp.hypot(flux, 2 * jnp.exp(log_softening))
        scale = 2.5 if slip == "natural logarithm" else pogson
        each = pogson * g * flux / size
        if slip != "logarithm of the softening":
            each = each - pogson * g
        down = each.mean(0) if slip == "sources averaged" else each.sum(0)
        return -scale * g / size, down

    magnitude.defvjp(fwd, bwd)
    return magnitude, magnitude.fun
