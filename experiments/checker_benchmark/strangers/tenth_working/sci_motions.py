"""Motions, lines and energies of bodies."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "Moebius addition in geoopt, hyperbolic networks in jax",
    "hyperbolic geometry",
    lambda rng: (normal(rng, 4, 3, std=0.3), normal(rng, 4, 3, std=0.3), 0.8),
    Twin(
        "denominator",
        "term|path",
        "x y",
        "The denominator is taken for a constant.",
    ),
    Twin(
        "exchanged norms",
        "swap|operand|residual",
        "x y",
        "The squared lengths of x and y change places on the way back.",
    ),
    Twin(
        "curvature squared",
        "power|factor|ratio|option",
        "x y",
        "The denominator's curvature has the power 1.",
    ),
    narrow=False,
    scales=(0.3, 1.0),
)
def mobius_addition(slip):
    def sums(x, y):
        keep = dict(axis=-1, keepdims=True)
        return (x * y).sum(**keep), (x * x).sum(**keep), (y * y).sum(**keep)

    def plain(x, y, c):
        xy, xx, yy = sums(x, y)
        top = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
        return top / (1 + 2 * c * xy + c * c * xx * yy)

    add = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, c):
        return plain(x, y, c), (x, y)

    def bwd(c, res, g):
        x, y = res
        xy, xx, yy = sums(x, y)
        a, b = 1 + 2 * c * xy + c * yy, 1 - c * xx
        D = 1 + 2 * c * xy + c * c * xx * yy
        dtop = g / D
        dD = -(g * (a * x + b * y)).sum(-1, keepdims=True) / D**2
        if slip == "denominator":
            dD = jnp.zeros_like(dD)
        da = (dtop * x).sum(-1, keepdims=True)
        db = (dtop * y).sum(-1, keepdims=True)
        cc = c if slip == "curvature squared" else c * c
        if slip == "exchanged norms":
            xx, yy = yy, xx
        dxy = 2 * c * (da + dD)
        dxx = -c * db + cc * yy * dD
        dyy = c * da + cc * xx * dD
        dx = a * dtop + dxy * y + 2 * dxx * x
        dy = b * dtop + dxy * x + 2 * dyy * y
        return dx, dy

    add.defvjp(fwd, bwd)
    return add, plain


@case(
    "skinning by dual quaternions (SMPL-like rigs) in jax",
    "blend of rigid motions",
    lambda rng: (
        normal(rng, 3, 2),
        unit_rows(rng, 2, 4),
        normal(rng, 2, 4),
        normal(rng, 3, 3),
    ),
    Twin(
        "length of the blend",
        "path|term",
        "weights real",
        "The blend's normalisation has no gradient.",
    ),
    Twin(
        "translation's conjugate",
        "sign|term|function|operand",
        "real weights",
        "The gradient of the conjugate is that of the quaternion.",
    ),
    Twin(
        "weights of the dual part",
        "term|path",
        "weights",
        "The weights' gradient goes through the rotation alone.",
    ),
    narrow=False,
)
def dual_quaternion_point(slip):
    # weights [n, bones]; real, dual [bones, 4]; rest [n, 3]
    C = np.array([1.0, -1.0, -1.0, -1.0], np.float32)

    def ham(p, q):
        a, b, c, d = jnp.moveaxis(p, -1, 0)
        e, f, g, h = jnp.moveaxis(q, -1, 0)
        w = a * e - b * f - c * g - d * h
        i = a * f + b * e + c * h - d * g
        j = a * g - b * h + c * e + d * f
        k = a * h + b * g - c * f + d * e
        return jnp.stack([w, i, j, k], -1)

    def conj(q):
        return q * C

    def pure(v):
        return jnp.concatenate([jnp.zeros_like(v[..., :1]), v], -1)

    def move(r, d, rest):
        turned = ham(ham(r, pure(rest)), conj(r))
        return (turned + 2 * ham(d, conj(r)))[..., 1:]

    def plain(weights, real, dual, rest):
        R, D = weights @ real, weights @ dual
        n = jnp.sqrt((R * R).sum(-1, keepdims=True) + 1e-2)
        return move(R / n, D / n, rest)

    skin = jax.custom_vjp(plain)

    def fwd(weights, real, dual, rest):
        return plain(weights, real, dual, rest), (weights, real, dual, rest)

    def bwd(res, g):
        weights, real, dual, rest = res
        R, D = weights @ real, weights @ dual
        n = jnp.sqrt((R * R).sum(-1, keepdims=True) + 1e-2)
        r, d, p = R / n, D / n, pure(rest)
        G = pure(g)
        # <G, a b> = <G conj(b), a> = <conj(a) G, b>
        rp = ham(r, p)
        dr_right = ham(conj(rp), G) + 2 * ham(conj(d), G)
        drp = ham(G, r)
        back = dr_right if slip == "translation's conjugate" else conj(dr_right)
        dr = ham(drp, conj(p)) + back
        drest = ham(conj(r), drp)[..., 1:]
        dd = 2 * ham(G, r)
        dR, dD = dr / n, dd / n
        if slip != "length of the blend":
            dn = -(dr * R + dd * D).sum(-1, keepdims=True) / n**2
            dR = dR + dn * R / n
        dweights = dR @ real.T
        if slip != "weights of the dual part":
            dweights = dweights + dD @ dual.T
        return dweights, weights.T @ dR, weights.T @ dD, drest

    skin.defvjp(fwd, bwd)
    return skin, plain


@case(
    "induced dipoles of polarisable force fields (jax-md, DMFF)",
    "pair energy of vectors",
    lambda rng: (normal(rng, 4, 3, std=2.0), normal(rng, 4, 3)),
    Twin(
        "distance",
        "term|path",
        "pos",
        "The distances in front are taken for constants.",
    ),
    Twin(
        "three",
        "factor|ratio|constant|term",
        "pos mu",
        "The factor 3 of the second part is lost.",
    ),
    Twin(
        "partner",
        "term|path|sum|factor|axis",
        "mu",
        "The gradient of a dipole lacks the pairs in which it is the second.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def dipole_dipole_energy(slip):
    def pairs(pos):
        n = len(pos)
        upper = jnp.triu(jnp.ones((n, n), bool), 1)
        R = pos[:, None] - pos[None]
        # softened, so that two in one place are finite
        s2 = (R * R).sum(-1) + 0.2
        return upper, R, 1 / s2

    def plain(pos, mu):
        upper, R, w = pairs(pos)
        dots = mu @ mu.T
        a = jnp.einsum("id,ijd->ij", mu, R)
        b = jnp.einsum("jd,ijd->ij", mu, R)
        e = dots * w**1.5 - 3 * a * b * w**2.5
        return jnp.where(upper, e, 0).sum()

    energy = jax.custom_vjp(plain)

    def fwd(pos, mu):
        return plain(pos, mu), (pos, mu)

    def bwd(res, ct):
        pos, mu = res
        upper, R, w = pairs(pos)
        k = 1 if slip == "three" else 3
        a = jnp.einsum("id,ijd->ij", mu, R)
        b = jnp.einsum("jd,ijd->ij", mu, R)
        G = ct * upper
        ddots = G * w**1.5
        da, db = -k * G * b * w**2.5, -k * G * a * w**2.5
        dw = G * (1.5 * (mu @ mu.T) * w**0.5 - 2.5 * k * a * b * w**1.5)
        dR = da[..., None] * mu[:, None] + db[..., None] * mu[None]
        if slip != "distance":
            dR = dR - 2 * (dw * w * w)[..., None] * R
        dpos = dR.sum(1) - dR.sum(0)
        dmu = ddots @ mu + jnp.einsum("ij,ijd->id", da, R)
        if slip != "partner":
            dmu = dmu + ddots.T @ mu + jnp.einsum("ij,ijd->jd", db, R)
        return dpos, dmu

    energy.defvjp(fwd, bwd)
    return energy, plain
