"""Norms and bases of functions, as layers of networks in flax and equinox."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)

TINY = 1e-6


def normalise(x, axis):
    """Unit length along an axis, as torch's normalize; and 1 / length."""
    square = (x * x).sum(axis, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.maximum(square, TINY**2))
    return x * inverse, inverse, square > TINY**2


def pull_normalise(x, g, axis):
    unit, inverse, long = normalise(x, axis)
    along = jnp.where(long, (unit * g).sum(axis, keepdims=True), 0)
    return inverse * (g - unit * along)


def states(sign):
    def args(rng):
        return unit_rows(rng, 4, 6), normal(rng, 4, 6), jnp.full(6, sign * 0.4), 0.5

    return args


@case(
    "nGPT's update of states on the sphere, with a learned rate per channel",
    "normalisation",
    states(1.0),
    Twin(
        "share of the state",
        "term|path|factor",
        "state",
        "The state is taken to be added whole, and not less the rate's share.",
    ),
    Twin(
        "sign of the rate",
        "sign|function|factor",
        "rate",
        "The rate's absolute value is pulled back as if it were positive.",
        witness=states(-1.0),
    ),
    Twin(
        "inner length",
        "term|path",
        "update",
        "The update is divided by its length, which is held constant.",
    ),
)
def normalised_residual_update(slip):
    def step(state, update, rate, factor):
        eta = jnp.abs(rate * factor)
        unit, inverse, _ = normalise(update, -1)
        return eta, unit, inverse, state + eta * (unit - state)

    def plain(state, update, rate, factor):
        return normalise(step(state, update, rate, factor)[-1], -1)[0]

    move = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(state, update, rate, factor):
        return plain(state, update, rate, factor), (state, update, rate)

    def bwd(factor, res, g):
        state, update, rate = res
        eta, unit, inverse, moved = step(state, update, rate, factor)
        dmoved = pull_normalise(moved, g, -1)
        deta = (dmoved * (unit - state)).sum(tuple(range(state.ndim - 1)))
        sign = 1 if slip == "sign of the rate" else jnp.sign(rate * factor)
        dunit = eta * dmoved
        dstate = dmoved if slip == "share of the state" else (1 - eta) * dmoved
        if slip == "inner length":
            dupdate = inverse * dunit
        else:
            dupdate = pull_normalise(update, dunit, -1)
        return dstate, dupdate, deta * sign * factor

    move.defvjp(fwd, bwd)
    return move, plain


def running(mean, var):
    def args(rng):
        old = jnp.full(3, mean, jnp.float32), jnp.full(3, var, jnp.float32)
        return normal(rng, 8, 3), jnp.ones(3), jnp.zeros(3), *old, (3.0, 5.0)

    return args


def stopped(plain):
    """The corrections are constants by declaration, though they depend on x."""

    def surrogate(args, dy):
        *arrays, limits = args
        return jax.vjp(lambda *a: plain(*a, limits), *arrays)[1](dy)

    return {"surrogate": surrogate, "nondiff": ("mean", "var")}


@case(
    "batch renormalisation in flax: corrections by running statistics, not pulled back",
    "normalisation with running statistics",
    running(0.0, 1.0),
    Twin(
        "correction left out",
        "ratio|factor|operand",
        "x",
        "The gradient is that of plain batch normalisation.",
    ),
    Twin(
        "running statistics",
        "term|path|function",
        "x",
        "The batch's statistics are taken for constants, as at evaluation.",
    ),
    Twin(
        "gain of the plain norm",
        "operand|residual|ratio",
        "gain",
        "The gain's gradient takes the rows before they are corrected.",
    ),
    options=stopped,
    fixed=(3, 4),
)
def batch_renorm(slip):
    def statistics(x, mean, var, limits):
        centred = x - x.mean(0)
        inverse = jax.lax.rsqrt((centred * centred).mean(0) + 1e-5)
        old = jnp.sqrt(var + 1e-5)
        r = jnp.clip(1 / (inverse * old), 1 / limits[0], limits[0])
        d = jnp.clip((x.mean(0) - mean) / old, -limits[1], limits[1])
        r, d = jax.lax.stop_gradient((r, d))
        return centred * inverse, inverse, r, d

    def plain(x, gain, bias, mean, var, limits):
        normed, _, r, d = statistics(x, mean, var, limits)
        return gain * (normed * r + d) + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(x, gain, bias, mean, var, limits):
        return plain(x, gain, bias, mean, var, limits), (x, gain, mean, var)

    def bwd(limits, res, g):
        x, gain, mean, var = res
        normed, inverse, r, d = statistics(x, mean, var, limits)
        dn = g * gain if slip == "correction left out" else g * gain * r
        if slip == "running statistics":
            dx = inverse * dn
        else:
            dx = inverse * (dn - dn.mean(0) - normed * (dn * normed).mean(0))
        rows = normed if slip == "gain of the plain norm" else normed * r + d
        frozen = jnp.zeros_like(mean), jnp.zeros_like(var)
        return dx, (g * rows).sum(0), g.sum(0), *frozen

    norm.defvjp(fwd, bwd)
    return norm, plain


def bumps(low, high):
    def args(rng):
        grid = jnp.linspace(low, high, 5)
        params = {"spline": normal(rng, 3, 5, 2, std=0.3), "base": normal(rng, 3, 2)}
        return normal(rng, 4, 3), grid, params

    return args


@case(
    "Kolmogorov-Arnold layers of radial functions (FastKAN) in equinox ports",
    "layer of learned functions",
    bumps(-2.0, 2.0),
    Twin(
        "width of the bumps",
        "ratio|factor|constant",
        "x",
        "The chain rule through the distance over the spacing is left out.",
        witness=bumps(-1.0, 1.0),
    ),
    Twin(
        "base",
        "term|path",
        "x",
        "The input is not reached through the SiLU beside the bumps.",
    ),
    Twin(
        "SiLU's derivative",
        "function|factor",
        "x",
        "The base is pulled back by the sigmoid alone.",
    ),
    options=lambda plain: {"nondiff": ("grid",)},
    fixed=(1,),
)
def fast_kan_layer(slip):
    def bumps_at(x, grid):
        spacing = (grid[-1] - grid[0]) / (grid.shape[0] - 1)
        u = (x[..., None] - grid) / spacing
        return u, jnp.exp(-u * u), spacing

    @jax.custom_vjp
    def layer(x, grid, params):
        basis = bumps_at(x, grid)[1]
        out = jnp.einsum("nig,igo->no", basis, params["spline"])
        return out + jax.nn.silu(x) @ params["base"]

    def fwd(x, grid, params):
        return layer.fun(x, grid, params), (x, grid, params)

    def bwd(res, g):
        x, grid, params = res
        u, basis, spacing = bumps_at(x, grid)
        dbasis = jnp.einsum("no,igo->nig", g, params["spline"])
        dx = (dbasis * -2 * u * basis).sum(-1)
        if slip != "width of the bumps":
            dx = dx / spacing
        s = jax.nn.sigmoid(x)
        slope = s if slip == "SiLU's derivative" else s * (1 + x * (1 - s))
        if slip != "base":
            dx = dx + (g @ params["base"].T) * slope
        grads = {
            "spline": jnp.einsum("nig,no->igo", basis, g),
            "base": jax.nn.silu(x).T @ g,
        }
        return dx, jnp.zeros_like(grid), grads

    layer.defvjp(fwd, bwd)
    return layer, layer.fun
