"""Dynamics: a filter of ranges and bearings, a bouncing ball, Langevin steps."""

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


def tracked(rng):
    mean = normal(rng, 4, std=0.3) + jnp.array([3.0, 2.0, 0.5, -0.2])
    half = rng.normal(0, 0.3, (4, 4))
    cov = jnp.asarray(half @ half.T + 0.2 * np.eye(4), jnp.float32)
    seen = normal(rng, 2, std=0.05) + jnp.array([3.6, 0.6])
    return mean, cov, seen, jnp.array([[0.1, 0.0], [0.0, 0.02]])


@case(
    "updates of extended Kalman filters with a range and a bearing, in dynamax style",
    "filtering",
    tracked,
    Twin(
        "linearised there",
        "term|path",
        "mean",
        "The measurement's Jacobian was taken at the mean; it does not move with it.",
    ),
    Twin(
        "gain held",
        "term|path",
        "mean cov noise",
        "The gain is a constant: spread and noise act by the last product alone.",
    ),
    Twin(
        "spread not shrunk",
        "term|path|factor",
        "cov",
        "The spread's cotangent comes back as if nothing had been subtracted.",
    ),
    narrow=False,
)
def ekf_update(slip):
    def measured(mean):
        x, y = mean[0], mean[1]
        r2 = x * x + y * y
        r, zero = jnp.sqrt(r2), jnp.zeros_like(x)
        rows = [[x / r, y / r, zero, zero], [-y / r2, x / r2, zero, zero]]
        return jnp.stack([r, jnp.arctan2(y, x)]), jnp.array(rows)

    def parts(mean, cov, seen, noise):
        expected, jac = measured(mean)
        off = seen - expected
        turn = off[1] - 2 * jnp.pi * jnp.round(off[1] / (2 * jnp.pi))
        crossed = cov @ jac.T
        spread = jac @ crossed + noise
        gain = jnp.linalg.solve(spread.T, crossed.T).T
        return jac, jnp.stack([off[0], turn]), crossed, spread, gain

    def plain(mean, cov, seen, noise):
        jac, off, _, _, gain = parts(mean, cov, seen, noise)
        return mean + gain @ off, cov - gain @ jac @ cov

    update = jax.custom_vjp(plain)

    def fwd(mean, cov, seen, noise):
        given = mean, cov, seen, noise
        return plain(*given), given

    def bwd(res, g):
        mean, cov, _, _ = res
        dmean, dnew = g
        jac, off, crossed, spread, gain = parts(*res)
        dgain = jnp.outer(dmean, off) - dnew @ (jac @ cov).T
        if slip == "gain held":
            dgain = jnp.zeros_like(dgain)
        doff = gain.T @ dmean
        dcrossed = jnp.linalg.solve(spread, dgain.T).T
        dspread = -gain.T @ dcrossed
        dcrossed = dcrossed + jac.T @ dspread
        djac = dspread @ crossed.T + dcrossed.T @ cov - gain.T @ dnew @ cov.T
        shrunk = dnew if slip == "spread not shrunk" else dnew - (gain @ jac).T @ dnew
        dmean = dmean - jac.T @ doff
        if slip != "linearised there":
            x, y = mean[0], mean[1]
            r = jnp.sqrt(x * x + y * y)
            (a, b), (c, d) = djac[0, :2], djac[1, :2]
            across = (a * y - b * x) / r**3
            twice, split = 2 * x * y / r**4, (y * y - x * x) / r**4
            dx = across * y + c * twice + d * split
            dmean = dmean.at[0].add(dx).at[1].add(-across * x + c * split - d * twice)
        return dmean, shrunk + dcrossed @ jac, doff, dspread

    update.defvjp(fwd, bwd)
    return update, plain


def balls(rng):
    heights = positive(rng, 6, low=0.5, high=3.0)
    return heights, normal(rng, 6, std=0.5), jnp.float32(9.8), jnp.float32(0.8), 0.6


@case(
    "a ball that bounces once, as in tutorials of diffrax's events, by its formulas",
    "events",
    balls,
    Twin(
        "impact held",
        "term|path",
        "heights speeds gravity",
        "The time of the impact does not move with where the ball was dropped.",
    ),
    Twin(
        "still in the air",
        "mask|region|predicate",
        "heights speeds gravity restitution",
        "Balls that have not landed are pulled back through a bounce.",
    ),
    Twin(
        "restitution's sign",
        "sign|ratio",
        "restitution",
        "The ball comes up; what it keeps of its speed has the wrong sign.",
    ),
    fixed=(3,),
)
def event_time_bounce(slip):
    def flight(heights, speeds, gravity, restitution, end):
        fall = jnp.sqrt(speeds**2 + 2 * gravity * heights)
        hit = (speeds + fall) / gravity
        return hit < end, hit, fall, restitution * fall, end - hit

    def plain(heights, speeds, gravity, restitution, end):
        found = flight(heights, speeds, gravity, restitution, end)
        bounced, _, _, up, left = found
        free = heights + speeds * end - gravity * end**2 / 2, speeds - gravity * end
        again = up * left - gravity * left**2 / 2, up - gravity * left
        return tuple(jnp.where(bounced, a, f) for a, f in zip(again, free, strict=True))

    bounce = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(heights, speeds, gravity, restitution, end):
        given = heights, speeds, gravity, restitution
        return plain(*given, end), given

    def bwd(end, res, g):
        _, _, gravity, restitution = res
        dy, dv = g
        bounced, hit, fall, up, left = flight(*res, end)
        if slip == "still in the air":
            bounced = jnp.ones_like(bounced)
        dup = dy * left + dv
        dfall = restitution * dup
        dhit = gravity * dfall - dy * (up - gravity * left) + gravity * dv
        if slip == "impact held":
            dhit = jnp.zeros_like(dhit)
        dheights = jnp.where(bounced, dhit / fall, dy)
        dspeeds = jnp.where(bounced, dhit * hit / fall - dfall, dy * end + dv)
        dgravity = dfall * hit - dhit * hit**2 / (2 * fall)
        dgravity = dgravity - dy * left**2 / 2 - dv * left
        dgravity = jnp.where(bounced, dgravity, -dy * end**2 / 2 - dv * end)
        de = jnp.where(bounced, dup * fall, 0).sum()
        de = -de if slip == "restitution's sign" else de
        return dheights, dspeeds, dgravity.sum(), de

    bounce.defvjp(fwd, bwd)
    return bounce, plain


def bath(rng):
    parameters = {"friction": jnp.float32(1.0), "temperature": jnp.float32(0.5)}
    return normal(rng, 5), normal(rng, 5), normal(rng, 6, 5), parameters, 0.05


@case(
    "jax_md.simulate.nvt_langevin as BAOAB steps in a double well, with given noise",
    "molecular dynamics",
    bath,
    Twin(
        "noise held",
        "term|path",
        "parameters",
        "Friction slows; that it feeds the noise as well is forgotten.",
    ),
    Twin(
        "first place twice",
        "residual|operand|index",
        "position velocity parameters noise",
        "Both half kicks are pulled back at the place before the drift.",
    ),
    Twin(
        "root of the temperature",
        "factor|ratio|function",
        "parameters",
        "The noise goes with the root of the temperature; the half is lost.",
    ),
    fixed=(3,),
    scales=(0.1, 1.0, 2.0),
)
def langevin_baoab(slip):
    def force(x):
        return x - x**3

    def coefficients(parameters, dt):
        kept = jnp.exp(-dt * parameters["friction"])
        spread = jnp.sqrt(-jnp.expm1(-2 * dt * parameters["friction"]))
        return kept, spread, jnp.sqrt(parameters["temperature"])

    def run(position, velocity, noise, parameters, dt):
        kept, spread, heat = coefficients(parameters, dt)

        def step(state, xi):
            x, v = state
            half = v + dt / 2 * force(x)
            mixed = kept * half + spread * heat * xi
            new = x + dt / 2 * (half + mixed)
            return (new, mixed + dt / 2 * force(new)), (x, half, new)

        return lax.scan(step, (position, velocity), noise)

    def plain(position, velocity, noise, parameters, dt):
        return run(position, velocity, noise, parameters, dt)[0]

    simulate = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(position, velocity, noise, parameters, dt):
        end, states = run(position, velocity, noise, parameters, dt)
        return end, (noise, parameters, states)

    def bwd(dt, res, g):
        noise, parameters, states = res
        kept, spread, heat = coefficients(parameters, dt)

        def back(carry, item):
            dx, dv, dkept, dmade = carry
            xi, x, half, new = item
            late = x if slip == "first place twice" else new
            dx = dx + dt / 2 * dv * (1 - 3 * late**2)
            dmixed = dv + dt / 2 * dx
            dhalf = dt / 2 * dx + kept * dmixed
            dkept, dmade = dkept + dmixed * half, dmade + dmixed * xi
            dx = dx + dt / 2 * dhalf * (1 - 3 * x**2)
            return (dx, dhalf, dkept, dmade), spread * heat * dmixed

        zero = jnp.zeros_like(g[0])
        start, items = (*g, zero, zero), (noise, *states)
        (dx, dv, dkept, dmade), dnoise = lax.scan(back, start, items, reverse=True)
        dkept, dmade = dkept.sum(), dmade.sum()
        dfriction = -dt * kept * dkept
        if slip != "noise held":
            dfriction = dfriction + dt * heat * kept**2 / spread * dmade
        root = 1 if slip == "root of the temperature" else 2
        dheat = spread * dmade / (root * heat)
        return dx, dv, dnoise, {"friction": dfriction, "temperature": dheat}

    simulate.defvjp(fwd, bwd)
    return simulate, plain
