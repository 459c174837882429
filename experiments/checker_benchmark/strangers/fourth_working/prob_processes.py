"""Extremes, events that excite each other, and resampled particles."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def maxima(shape: float, std: float = 1.0):
    def args(rng):
        one = jnp.float32(1.0)
        return normal(rng, 6, std=std), 0 * one, one, jnp.float32(shape)

    return args


@case(
    "tfp.substrates.jax.distributions.GeneralizedExtremeValue",
    "log-density",
    maxima(0.1),
    Twin(
        "outside of the support",
        "mask|region|edge|nan|finite",
        "x loc scale shape",
        "Points without density have gradients.",
        witness=maxima(0.8, 4.0),
    ),
    Twin(
        "Gumbel's limit",
        "edge|region|predicate|term|zero",
        "shape",
        "At a shape of zero, the slope by the shape is left at zero.",
        witness=maxima(0.0),
    ),
    Twin("volume", "term", "scale", "The part of -log(scale) is left out."),
    fixed=(3,),
    narrow=False,
)
def gev_log_prob(slip):
    """-inf outside of the support; series of log1p(u) / u about the limit at zero."""
    terms = 14

    def quotient(u):
        """log1p(u) / u."""
        small = jnp.abs(u) < 0.05
        series = sum((-u) ** k / (k + 1) for k in range(terms))
        safe = jnp.where(small, 1, u)
        return jnp.where(small, series, jnp.log1p(safe) / safe)

    def slope_of_quotient(u):
        small = jnp.abs(u) < 0.05
        series = -sum(k * (-u) ** (k - 1) / (k + 1) for k in range(1, terms))
        safe = jnp.where(small, 1, u)
        far = (1 / (1 + safe) - jnp.log1p(safe) / safe) / safe
        return jnp.where(small, series, far)

    def inside(x, loc, scale, shape):
        z = (x - loc) / scale
        within = 1 + shape * z > 0
        return within, jnp.where(within, z, 0)

    def plain(x, loc, scale, shape):
        within, z = inside(x, loc, scale, shape)
        log_t = -z * quotient(shape * z)
        value = (1 + shape) * log_t - jnp.exp(log_t) - jnp.log(scale)
        return jnp.where(within, value, -jnp.inf)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, scale, shape):
        return plain(x, loc, scale, shape), (x, loc, scale, shape)

    def bwd(res, g):
        x, loc, scale, shape = res
        within, z = inside(x, loc, scale, shape)
        if slip != "outside of the support":
            g = jnp.where(within, g, 0)
        log_t = -z * quotient(shape * z)
        by_log_t = g * (1 + shape - jnp.exp(log_t))
        dx = -by_log_t / (1 + shape * z) / scale
        by_scale = -dx * z
        if slip != "volume":
            by_scale = by_scale - g / scale
        by_shape = g * log_t - by_log_t * z**2 * slope_of_quotient(shape * z)
        if slip == "Gumbel's limit":
            by_shape = jnp.where(shape == 0, 0, by_shape)
        return dx, -dx.sum(), by_scale.sum(), by_shape.sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def events(rng):
    times = jnp.cumsum(jnp.asarray(rng.exponential(1.0, 7), jnp.float32))
    rates = {"base": 0.5, "jump": 0.4, "decay": 1.2}
    return times, {k: jnp.float32(v) for k, v in rates.items()}, 25.0


@case(
    "Hawkes processes in numpyro and in JAX point-process libraries",
    "point process",
    events,
    Twin(
        "decay of what is carried",
        "term|path",
        "params",
        "The slope by the decay forgets that of the steps before.",
    ),
    Twin(
        "compensator's factor",
        "term|factor|ratio",
        "params",
        "Its slope by the decay has the exponentials, not the quotient's own.",
    ),
    Twin(
        "event itself",
        "index|residual|operand|term|path",
        "params",
        "The slope by the jump counts the event itself as an excitation.",
    ),
    options=lambda plain: {"nondiff": ("times",)},
    fixed=(0,),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def hawkes_log_likelihood(slip):
    """Of ordered times up to an end; exponential excitation, carried by a scan."""

    def carried(times, decay):
        def step(carry, gap):
            total, slope = carry
            fade = jnp.exp(-decay * gap)
            if slip == "decay of what is carried":
                slope = -fade * gap * (1 + total)
            else:
                slope = fade * (slope - gap * (1 + total))
            total = fade * (1 + total)
            return (total, slope), (total, slope)

        zero = jnp.zeros_like(decay)
        rest = lax.scan(step, (zero, zero), jnp.diff(times))[1]
        return (jnp.concatenate([zero[None], a]) for a in rest)

    def plain(times, params, end):
        base, jump, decay = params["base"], params["jump"], params["decay"]
        total, _ = carried(times, decay)
        gone = -jnp.expm1(-decay * (end - times)).sum()
        return jnp.log(base + jump * total).sum() - base * end - jump / decay * gone

    log_likelihood = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(times, params, end):
        return plain(times, params, end), (times, params)

    def bwd(end, res, g):
        times, params = res
        base, jump, decay = params["base"], params["jump"], params["decay"]
        total, slope = carried(times, decay)
        weight = 1 / (base + jump * total)
        left = end - times
        gone = -jnp.expm1(-decay * left).sum()
        by_gone = (left * jnp.exp(-decay * left)).sum()
        by_decay = jump * (weight * slope).sum() - jump / decay * by_gone
        if slip != "compensator's factor":
            by_decay = by_decay + jump / decay**2 * gone
        before = total + 1 if slip == "event itself" else total
        slopes = {
            "base": g * (weight.sum() - end),
            "jump": g * ((weight * before).sum() - gone / decay),
            "decay": g * by_decay,
        }
        return jnp.zeros_like(times), slopes

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, plain


def ancestors(log_weights, offset):
    n = len(log_weights)
    places = (jnp.arange(n) + offset) / n
    ends = jnp.cumsum(jax.nn.softmax(log_weights))
    return jnp.minimum(jnp.searchsorted(ends, places.astype(ends.dtype)), n - 1)


def resampled_gradient(args, cotangents):
    """That of particles[i] and of log(w)[i] - stop_gradient(log(w)[i])."""
    particles, log_weights, offset = args
    dparticles, dlogs = cotangents
    chosen = ancestors(log_weights, offset)

    def through(particles, log_weights):
        return particles[chosen], jax.nn.log_softmax(log_weights)[chosen]

    return jax.vjp(through, particles, log_weights)[1]((dparticles, dlogs))


@case(
    "differentiable particle filters in JAX: resampling with stopped gradients",
    "resampling",
    lambda rng: (normal(rng, 6, 2), normal(rng, 6), 0.4),
    Twin(
        "children of one particle",
        "duplicates|index",
        "particles log_weights",
        "Of several children, one gives its cotangent to the particle.",
    ),
    Twin(
        "sum of the weights",
        "term|path",
        "log_weights",
        "The weights' normalisation is left out.",
    ),
    Twin(
        "gathered",
        "index|transpose|swap",
        "particles",
        "Cotangents are gathered by the indices, not scattered.",
    ),
    options=lambda plain: {"surrogate": resampled_gradient},
    narrow=False,
)
def particle_resampling(slip):
    """Systematic resampling: the children and their equal log-weights."""

    def plain(particles, log_weights, offset):
        chosen = ancestors(log_weights, offset)
        even = jnp.full_like(log_weights, -jnp.log(len(log_weights)))
        return particles[chosen], even

    resample = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(particles, log_weights, offset):
        out = plain(particles, log_weights, offset)
        return out, (log_weights, ancestors(log_weights, offset))

    def bwd(offset, res, cotangents):
        log_weights, chosen = res
        dparticles, dlogs = cotangents

        def scattered(a):
            into = jnp.zeros_like(a).at[chosen]
            return into.set(a) if slip == "children of one particle" else into.add(a)

        to_weights = scattered(dlogs)
        if slip != "sum of the weights":
            to_weights -= jax.nn.softmax(log_weights) * dlogs.sum()
        if slip == "gathered":
            return dparticles[chosen], to_weights
        return scattered(dparticles), to_weights

    resample.defvjp(fwd, bwd)
    return resample, plain
