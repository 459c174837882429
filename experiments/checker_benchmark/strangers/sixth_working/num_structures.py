"""Kernels of poles, and Kronecker products."""

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


def poles(rng):
    weights = normal(rng, 4) + 1j * normal(rng, 4)
    left = -positive(rng, 4) + 1j * jnp.pi * jnp.arange(4.0, dtype=jnp.float32)
    z = 2j * jnp.tan(jnp.linspace(0.1, 1.4, 6, dtype=jnp.float32))
    return weights, z, left


@case(
    "Cauchy kernels of S4 in JAX: poles in conjugate pairs, of which one is kept",
    "complex kernel",
    poles,
    Twin(
        "conjugate pair",
        "operand|transpose|term|sign|cotangent",
        "weights poles",
        "What comes through the other pole of a pair is not conjugated.",
    ),
    Twin(
        "half",
        "term|path|factor",
        "poles",
        "Only the poles that are kept have a gradient, without their conjugates.",
    ),
    Twin(
        "nodes' sign",
        "sign",
        "z",
        "The nodes have the sign of the poles.",
    ),
    narrow=False,
)
def cauchy_kernel(slip):
    """Sums over the pairs of v / (z - p), at all nodes z."""

    def inverses(z, poles):
        return 1 / (z[:, None] - poles), 1 / (z[:, None] - poles.conj())

    def plain(weights, z, poles):
        upper, lower = inverses(z, poles)
        return upper @ weights + lower @ weights.conj()

    kernel = jax.custom_vjp(plain)

    def fwd(weights, z, poles):
        return plain(weights, z, poles), (weights, z, poles)

    def bwd(res, g):
        weights, z, poles = res
        upper, lower = inverses(z, poles)
        other = jnp.asarray if slip == "conjugate pair" else jnp.conj
        dweights = g @ upper + other(g @ lower)
        steep, steep_below = upper**2 * weights, lower**2 * weights.conj()
        dpoles = g @ steep
        if slip != "half":
            dpoles = dpoles + other(g @ steep_below)
        dz = g * (steep + steep_below).sum(1)
        return dweights, dz if slip == "nodes' sign" else -dz, dpoles

    kernel.defvjp(fwd, bwd)
    return kernel, plain


@case(
    "gpytorch-like Kronecker operators in JAX: factors one at a time, as cola has them",
    "structured matrix",
    lambda rng: (
        (normal(rng, 2, 2), normal(rng, 3, 3), normal(rng, 2, 2)),
        normal(rng, 12),
    ),
    Twin(
        "factors",
        "transpose",
        "x factors",
        "The factors are not transposed on the way back.",
    ),
    Twin(
        "stages",
        "residual|operand",
        "factors",
        "All factors' gradients are taken at the vector before the first of them.",
    ),
)
def kronecker_matvec(slip):
    """The product of the factors' Kronecker product and a vector."""

    def along(a, t, axis):
        return jnp.moveaxis(jnp.tensordot(a, t, (1, axis)), 0, axis)

    def stages(factors, x):
        t, kept = x.reshape([a.shape[1] for a in factors]), []
        for axis, a in enumerate(factors):
            kept.append(t)
            t = along(a, t, axis)
        return t.ravel(), kept

    @jax.custom_vjp
    def matvec(factors, x):
        return stages(factors, x)[0]

    def fwd(factors, x):
        y, kept = stages(factors, x)
        return y, (factors, kept)

    def bwd(res, g):
        factors, kept = res
        g = g.reshape([len(a) for a in factors])
        grads = []
        for axis in reversed(range(len(factors))):
            t = kept[0 if slip == "stages" else axis]
            rest = [i for i in range(t.ndim) if i != axis]
            grads.append(jnp.tensordot(g, t, (rest, rest)))
            a = factors[axis]
            g = along(a if slip == "factors" else a.T, g, axis)
        return tuple(grads[::-1]), g.ravel()

    matvec.defvjp(fwd, bwd)
    return matvec, matvec.fun
