"""Rays, cameras and lookups of renderers."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Film:
    fog: float
    dmax: float

    def density(self, s):
        return self.fog + (self.dmax - self.fog) * s


@case(
    "film simulation for differentiable raw pipelines in jax, a class as an option",
    "characteristic curve",
    lambda rng: (
        Film(0.2, 2.5),
        positive(rng, 4, 5, 3),
        {"gamma": positive(rng, 3), "speed": positive(rng, 3)},
    ),
    Twin(
        "exposure's reciprocal",
        "factor|term|function",
        "exposure",
        "The logarithm of the exposure is not differentiated.",
    ),
    Twin(
        "broadcast",
        "sum|axis",
        "params",
        "The channels' gradients are summed over the rows alone, and averaged.",
    ),
    Twin(
        "fog",
        "factor|term|constant|option|ratio",
        "exposure params",
        "The range is the largest density, without the fog taken off.",
    ),
    scales=(0.3, 1.0, 3.0),
)
def film_density_curve(slip):
    def plain(film, exposure, params):
        t = params["gamma"] * (jnp.log(exposure + 0.01) + jnp.log(params["speed"]))
        return film.density(jax.nn.sigmoid(t))

    curve = jax.custom_vjp(plain, nondiff_argnums=(0,))

    def fwd(film, exposure, params):
        h = jnp.log(exposure + 0.01) + jnp.log(params["speed"])
        s = jax.nn.sigmoid(params["gamma"] * h)
        return film.density(s), (s, h, exposure, params)

    def bwd(film, res, g):
        s, h, exposure, params = res
        span = film.dmax if slip == "fog" else film.dmax - film.fog
        dt = span * g * s * (1 - s)
        dh = params["gamma"] * dt
        dexp = dh if slip == "exposure's reciprocal" else dh / (exposure + 0.01)
        if slip == "broadcast":
            fold = lambda a: a.sum(0).mean(0)  # noqa: E731
        else:
            fold = lambda a: a.sum((0, 1))  # noqa: E731
        return dexp, {"gamma": fold(dt * h), "speed": fold(dh) / params["speed"]}

    curve.defvjp(fwd, bwd)
    return curve, plain


@case(
    "mip-NeRF 360's distortion loss in linear time (torch_efficient_distloss) in jax",
    "regulariser of rays",
    lambda rng: (
        jax.nn.softmax(normal(rng, 3, 6)),
        jnp.cumsum(positive(rng, 3, 7), axis=1),
    ),
    Twin(
        "own interval",
        "term|path",
        "w",
        "The term of an interval with itself is left out.",
    ),
    Twin(
        "later ones",
        "term|path|mask|region",
        "w",
        "Only the intervals before count, not those behind.",
    ),
    Twin(
        "prefix includes itself",
        "index|edge|mask|term|region",
        "t",
        "The sums of what lies before are inclusive.",
    ),
    narrow=False,
)
def distortion_loss(slip):
    def mids(t):
        return 0.5 * (t[:, 1:] + t[:, :-1]), t[:, 1:] - t[:, :-1]

    def plain(w, t):
        # the knots t ascend, so |m_i - m_j| is m_i - m_j for i > j
        m, d = mids(t)
        sign = jnp.tril(jnp.ones((m.shape[1],) * 2, m.dtype), -1)
        far = sign * (m[:, :, None] - m[:, None, :])
        between = 2 * jnp.einsum("ni,nj,nij->n", w, w, far)
        return (between + (w * w * d).sum(1) / 3).mean()

    loss = jax.custom_vjp(plain)

    def fwd(w, t):
        m, d = mids(t)
        W, WM = jnp.cumsum(w, 1), jnp.cumsum(w * m, 1)
        inter = 2 * (w * (m * (W - w) - (WM - w * m))).sum(1)
        return (inter + (w * w * d).sum(1) / 3).mean(), (w, m, d, W, WM)

    def bwd(saved, g):
        w, m, d, W, WM = saved
        g = g / len(w)
        before, mbefore = W - w, WM - w * m
        behind, mbehind = W[:, -1:] - W, WM[:, -1:] - WM
        dw = m * before - mbefore
        if slip != "later ones":
            dw = dw + mbehind - m * behind
        dw = 2 * dw
        if slip != "own interval":
            dw = dw + 2 / 3 * w * d
        left = W if slip == "prefix includes itself" else before
        dm = 2 * w * (left - behind)
        dd = w * w / 3
        z = jnp.zeros_like(dm[:, :1])
        lo, hi = 0.5 * dm - dd, 0.5 * dm + dd
        dt = jnp.concatenate([lo, z], 1) + jnp.concatenate([z, hi], 1)
        return g * dw, g * dt

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "Henyey and Greenstein's phase function in differentiable renderers",
    "scattering",
    lambda rng: (
        normal(rng, 5, 3),
        normal(rng, 5, 3),
        positive(rng, low=0.2, high=0.6),
    ),
    Twin(
        "normalised",
        "path|term",
        "wi wo",
        "The directions' gradient ignores their normalisation.",
    ),
    Twin(
        "numerator",
        "term|path",
        "g",
        "The 1 - g^2 above is a constant in g's gradient.",
    ),
    Twin(
        "power",
        "power|factor|ratio",
        "wi wo g",
        "The derivative of the power 3/2 has the factor 1/2.",
    ),
    fixed=(2,),
    narrow=False,
)
def henyey_greenstein_phase(slip):
    def unit(v):
        r = jnp.sqrt((v * v).sum(-1, keepdims=True) + 1e-4)
        return v / r, r

    def plain(wi, wo, g):
        cos = (unit(wi)[0] * unit(wo)[0]).sum(-1)
        den = 1 + g * g - 2 * g * cos
        return (1 - g * g) / (4 * jnp.pi * den**1.5)

    phase = jax.custom_vjp(plain)

    def fwd(wi, wo, g):
        return plain(wi, wo, g), (unit(wi), unit(wo), g)

    def bwd(res, ct):
        (u, ru), (v, rv), g = res
        cos = (u * v).sum(-1)
        den = 1 + g * g - 2 * g * cos
        p = (1 - g * g) / (4 * jnp.pi * den**1.5)
        k = -0.5 if slip == "power" else -1.5
        dden = k * ct * p / den
        dcos = -2 * g * dden
        dg = (dden * (2 * g - 2 * cos)).sum()
        if slip != "numerator":
            dg = dg - (ct * 2 * g / (4 * jnp.pi * den**1.5)).sum()

        def tangent(u, r, du):
            if slip == "normalised":
                return du / r
            return (du - u * (u * du).sum(-1, keepdims=True)) / r

        return tangent(u, ru, dcos[:, None] * v), tangent(v, rv, dcos[:, None] * u), dg

    phase.defvjp(fwd, bwd)
    return phase, plain
