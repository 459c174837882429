"""Steps of samplers, of optimisers and of networks that are seen as dynamics."""

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


def skew(rng):
    w, v, b = normal(rng, 4, 4, std=0.6), normal(rng, 3, 4), normal(rng, 4)
    return (w, v, b), normal(rng, 4), normal(rng, 6, 3), 0.3, 0.05


@case(
    "antisymmetric RNN (Chang et al.) in haiku",
    "recurrence that keeps its states",
    skew,
    Twin(
        "not antisymmetric",
        "term|transpose",
        "params",
        "The weights' gradient lacks the part of their transpose.",
    ),
    Twin(
        "state after the step",
        "residual|index",
        "params",
        "The weights are paired with the state after the step.",
    ),
    Twin(
        "transposed",
        "transpose|swap|sign",
        "h xs params",
        "The state's gradient goes through the matrix as the state does.",
    ),
    narrow=False,
)
def antisymmetric_rnn(slip):
    def matrix(w, damping):
        return w - w.T - damping * jnp.eye(len(w), dtype=w.dtype)

    def plain(params, h, xs, size, damping):
        w, v, b = params
        m = matrix(w, damping)

        def step(h, x):
            h = h + size * jnp.tanh(m @ h + x @ v + b)
            return h, h

        return lax.scan(step, h, xs)[1]

    scan = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(params, h, xs, size, damping):
        hs = plain(params, h, xs, size, damping)
        return hs, (params, jnp.concatenate([h[None], hs]), xs)

    def bwd(size, damping, res, g):
        (w, v, b), hs, xs = res
        m = matrix(w, damping)
        back = m if slip == "transposed" else m.T

        def step(dh, at):
            h, x, dout = at
            dh = dh + dout
            u = jnp.tanh(m @ h + x @ v + b)
            da = size * dh * (1 + u) * (1 - u)
            return dh + back @ da, da

        dh, das = lax.scan(step, jnp.zeros_like(b), (hs[:-1], xs, g), reverse=True)
        dm = das.T @ (hs[1:] if slip == "state after the step" else hs[:-1])
        dw = dm if slip == "not antisymmetric" else dm - dm.T
        return (dw, xs.T @ das, das.sum(0)), dh, das @ v.T

    scan.defvjp(fwd, bwd)
    return scan, plain


def sample(rng):
    return normal(rng, 2, 3, 4), normal(rng, 2, 3, 4), (0.9, 0.6, 0.35), (2, 1), 1.5


@case(
    "DDIM step with a clipped sample in diffusers' flax schedulers",
    "sampler's step with two outputs",
    sample,
    Twin(
        "clipped pixels",
        "mask|region",
        "x noise",
        "Where the sample was clipped it still gets a gradient.",
    ),
    Twin(
        "noise as predicted",
        "term|path",
        "x noise",
        "The noise that is computed anew is pulled back through x alone.",
    ),
    Twin(
        "sample not handed on",
        "cotangent|term",
        "x noise",
        "The cotangent of the predicted sample is ignored.",
    ),
)
def ddim_step(slip):
    def levels(table, times):
        now, then = table[times[0]], table[times[1]]
        return now**0.5, (1 - now) ** 0.5, then**0.5, (1 - then) ** 0.5

    def plain(x, noise, table, times, bound):
        a, s, a2, s2 = levels(table, times)
        start = (x - s * noise) / a
        start = jnp.where(
            start > bound, bound, jnp.where(start < -bound, -bound, start)
        )
        return a2 * start + s2 * (x - a * start) / s, start

    step = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(x, noise, table, times, bound):
        out = plain(x, noise, table, times, bound)
        return out, jnp.abs(out[1]) < bound

    def bwd(table, times, bound, inside, cot):
        g, dstart = cot
        a, s, a2, s2 = levels(table, times)
        if slip == "sample not handed on":
            dstart = jnp.zeros_like(dstart)
        dstart = dstart + a2 * g
        if slip != "noise as predicted":
            dstart = dstart - s2 * a / s * g
        if slip != "clipped pixels":
            dstart = jnp.where(inside, dstart, 0)
        return s2 / s * g + dstart / a, -s / a * dstart

    step.defvjp(fwd, bwd)
    return step, plain


def noisy(rng):
    return normal(rng, 3, 4, 2), normal(rng, 3, 4, 2), positive(rng, 3, high=5.0), 0.5


@case(
    "boundary scalings of consistency models in diffusers and k-diffusion",
    "skip and output scaled by the noise",
    noisy,
    Twin(
        "smallest noise",
        "term|operand|option|affine",
        "sigma",
        "The slope of the skip's scale is taken without the smallest noise.",
    ),
    Twin(
        "root constant",
        "term|path",
        "sigma",
        "The root in the output's scale is taken as a constant.",
    ),
    Twin(
        "scales exchanged",
        "swap|factor|ratio",
        "x net",
        "The input gets the output's scale and the network the skip's.",
    ),
)
def consistency_boundary(slip):
    least = 0.2

    def scales(sigma, like, spread):
        sigma = sigma.reshape(sigma.shape + (1,) * (like.ndim - 1))
        near, whole = (sigma - least) ** 2 + spread**2, sigma**2 + spread**2
        skip = spread**2 / near
        return sigma, near, whole, skip, spread * (sigma - least) * lax.rsqrt(whole)

    def plain(x, net, sigma, spread):
        _, _, _, skip, out = scales(sigma, x, spread)
        return skip * x + out * net

    scale = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, net, sigma, spread):
        return plain(x, net, sigma, spread), (x, net, sigma)

    def bwd(spread, res, g):
        x, net, given = res
        sigma, near, whole, skip, out = scales(given, x, spread)
        away = sigma if slip == "smallest noise" else sigma - least
        dskip = -2 * away / near * skip
        dout = spread * lax.rsqrt(whole)
        if slip != "root constant":
            dout = dout * (spread**2 + sigma * least) / whole
        dsigma = (g * (dskip * x + dout * net)).reshape(len(x), -1).sum(1)
        if slip == "scales exchanged":
            skip, out = out, skip
        return g * skip, g * out, dsigma

    scale.defvjp(fwd, bwd)
    return scale, plain


def guided(rng):
    return normal(rng, 3, 7), normal(rng, 3, 7), 4.0, 0.2, 3.0


@case(
    "adaptive projected guidance in diffusers",
    "guidance with a projection",
    guided,
    Twin(
        "direction constant",
        "term|path",
        "cond",
        "The direction that is projected on is taken as a constant.",
    ),
    Twin(
        "length constant",
        "term|path",
        "cond uncond",
        "The shortened difference's length is taken as a constant.",
    ),
    Twin(
        "other sign",
        "sign",
        "uncond",
        "The unconditional part gets the difference's gradient with a plus.",
    ),
)
def projected_guidance(slip):
    def unit(x):
        size = jnp.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)
        return x / size, size

    def dot(a, b):
        return (a * b).sum(-1, keepdims=True)

    def shortened(cond, uncond, most):
        ray, size = unit(cond - uncond)
        over = size > most
        return ray, size, over, jnp.where(over, ray * most, cond - uncond)

    def plain(cond, uncond, weight, share, most):
        d = shortened(cond, uncond, most)[3]
        u = unit(cond)[0]
        return cond + (weight - 1) * (d - (1 - share) * dot(d, u) * u)

    guide = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(cond, uncond, weight, share, most):
        return plain(cond, uncond, weight, share, most), (cond, uncond)

    def bwd(weight, share, most, res, g):
        cond, uncond = res
        ray, size, over, d = shortened(cond, uncond, most)
        u, length = unit(cond)
        move, less = (weight - 1) * g, 1 - share
        dd = move - less * dot(u, move) * u
        du = -less * (d * dot(u, move) + move * dot(d, u))
        along = 0 if slip == "length constant" else ray * dot(ray, dd)
        dgap = jnp.where(over, most / size * (dd - along), dd)
        dcond = g + dgap
        if slip != "direction constant":
            dcond = dcond + (du - u * dot(u, du)) / length
        return dcond, dgap if slip == "other sign" else -dgap

    guide.defvjp(fwd, bwd)
    return guide, plain
