"""Vehicles, rotations, plans, rivers and limited slopes."""

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
    "kinematic bicycle of Waymax and highway-env in jax ports",
    "step of vehicles",
    lambda rng: (normal(rng, 5, 4), normal(rng, 5, 2, std=0.6), jnp.float32(2.5), 0.2),
    Twin(
        "speed before the step",
        "residual|operand",
        "state action wheelbase",
        "The heading moves with the new speed, its backward takes the old one.",
    ),
    Twin(
        "limit of the steering",
        "mask|region",
        "action",
        "Steering beyond the limit has a gradient.",
    ),
    Twin(
        "turn of the speed",
        "term|path",
        "state action",
        "The speed's gradient lacks its part through the heading.",
    ),
)
def bicycle_model_step(slip):
    limit = 0.5

    def steered(action):
        free = jnp.abs(action[:, 1]) < limit
        return free, jnp.where(free, action[:, 1], limit * jnp.sign(action[:, 1]))

    def plain(state, action, wheelbase, dt):
        x, y, heading, speed = state.T
        speed = speed + dt * action[:, 0]
        turn = dt * speed * jnp.tan(steered(action)[1]) / wheelbase
        x = x + dt * speed * jnp.cos(heading)
        y = y + dt * speed * jnp.sin(heading)
        return jnp.stack([x, y, heading + turn, speed], axis=1)

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(state, action, wheelbase, dt):
        return plain(state, action, wheelbase, dt), (state, action, wheelbase)

    def bwd(dt, res, g):
        state, action, wheelbase = res
        _, _, heading, speed = state.T
        if slip != "speed before the step":
            speed = speed + dt * action[:, 0]
        gx, gy, gheading, gspeed = g.T
        free, steer = steered(action)
        tan, cos, sin = jnp.tan(steer), jnp.cos(heading), jnp.sin(heading)
        dturn = dt * gheading / wheelbase
        dheading = gheading + dt * speed * (gy * cos - gx * sin)
        dspeed = gspeed + dt * (gx * cos + gy * sin)
        if slip != "turn of the speed":
            dspeed = dspeed + dturn * tan
        dsteer = dturn * speed * (1 + tan * tan)
        if slip != "limit of the steering":
            dsteer = jnp.where(free, dsteer, 0)
        dwheelbase = -(dturn * speed * tan).sum() / wheelbase
        daction = jnp.stack([dt * dspeed, dsteer], axis=1)
        return jnp.stack([gx, gy, dheading, dspeed], axis=1), daction, dwheelbase

    step.defvjp(fwd, bwd)
    return step, plain


def rotations(rng):
    def some(spread):
        q = jnp.asarray([1.0, 0, 0, 0]) + normal(rng, 5, 4, std=spread)
        w, x, y, z = (q / jnp.linalg.norm(q, axis=1, keepdims=True)).T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return jnp.moveaxis(jnp.asarray(rows), -1, 0)

    first = some(0.8)
    return first, some(0.8).at[2].set(first[2])


@case(
    "geodesic loss of rotations (6D representation, pytorch3d) in jax ports",
    "loss of rotations",
    rotations,
    Twin(
        "rotations that agree",
        "mask|region",
        "pred target",
        "Cosines beyond the bound have a gradient.",
    ),
    Twin(
        "half of the trace",
        "factor|ratio",
        "pred target",
        "The half in the cosine is not pulled back.",
    ),
    Twin(
        "transposed target",
        "transpose|swap",
        "pred",
        "The other rotation is put into the gradient transposed.",
    ),
    narrow=False,
)
def geodesic_rotation_loss(slip):
    bound = 1 - 1e-4

    def cosines(pred, target):
        c = (jnp.einsum("nij,nij->n", pred, target) - 1) / 2
        inside = jnp.abs(c) < bound
        return inside, jnp.where(inside, c, bound * jnp.sign(c))

    @jax.custom_vjp
    def loss(pred, target):
        return jnp.arccos(cosines(pred, target)[1]).mean()

    def fwd(pred, target):
        return loss.fun(pred, target), (pred, target)

    def bwd(res, g):
        pred, target = res
        inside, c = cosines(pred, target)
        slope = -g / len(c) / jnp.sqrt((1 - c) * (1 + c))
        if slip != "rotations that agree":
            slope = jnp.where(inside, slope, 0)
        if slip != "half of the trace":
            slope = slope / 2
        slope = slope[:, None, None]
        other = target.mT if slip == "transposed target" else target
        return slope * other, slope * pred

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "information-theoretic MPPI update with its free energy (jax-mppi)",
    "average of plans with two outputs",
    lambda rng: (normal(rng, 6), normal(rng, 6, 4, 2), jnp.float32(0.7)),
    Twin(
        "temperature of the costs",
        "factor|ratio",
        "costs",
        "The costs' gradient through the plan is not divided by the temperature.",
    ),
    Twin(
        "baseline",
        "term|sum",
        "costs temperature",
        "The mean is not subtracted in the softmax's backward.",
    ),
    Twin(
        "even energy",
        "operand|factor|function",
        "costs",
        "The free energy's gradient is spread evenly over the plans.",
    ),
)
def mppi_weights(slip):
    def above(costs, temperature):
        over = costs - lax.stop_gradient(costs.min())
        return over, jax.nn.softmax(-over / temperature)

    @jax.custom_vjp
    def update(costs, plans, temperature):
        least = lax.stop_gradient(costs.min())
        over, weights = above(costs, temperature)
        total = jax.nn.logsumexp(-over / temperature) - jnp.log(1.0 * len(costs))
        plan = jnp.einsum("k,k...->...", weights, plans)
        return plan, least - temperature * total

    def fwd(costs, plans, temperature):
        out = update.fun(costs, plans, temperature)
        return out, (costs, plans, temperature)

    def bwd(res, g):
        costs, plans, temperature = res
        gplan, genergy = g
        over, weights = above(costs, temperature)
        dweights = jnp.einsum("k...,...->k", plans, gplan)
        if slip != "baseline":
            dweights = dweights - weights @ dweights
        dscore = weights * dweights
        share = jnp.full_like(weights, 1 / len(weights))
        if slip != "even energy":
            share = weights
        scaled = dscore if slip == "temperature of the costs" else dscore / temperature
        dcosts = genergy * share - scaled
        mean = weights @ over
        dtemperature = dscore @ over / temperature / temperature
        total = jax.nn.logsumexp(-over / temperature) - jnp.log(1.0 * len(costs))
        dtemperature = dtemperature - genergy * (total + mean / temperature)
        return dcosts, jnp.einsum("k,...->k...", weights, gplan), dtemperature

    update.defvjp(fwd, bwd)
    return update, update.fun


@case(
    "Muskingum routing of rivers (ddr, HydroDL) in jax ports",
    "recurrence with coefficients of parameters",
    lambda rng: (positive(rng, 8), jnp.float32(1.3), jnp.float32(0.2), 1.0),
    Twin(
        "first outflow",
        "term|edge|path",
        "inflow",
        "The first outflow is the first inflow, which gets nothing of it.",
    ),
    Twin(
        "common denominator",
        "term|path|ratio",
        "travel shape",
        "The denominator of the coefficients is taken as a constant.",
    ),
    Twin(
        "inflow before",
        "index|residual|operand",
        "travel shape",
        "The second coefficient's gradient takes the inflow of the same time.",
    ),
    narrow=False,
)
def muskingum_routing(slip):
    def weights(travel, shape, dt):
        below = 2 * travel * (1 - shape) + dt
        above = [
            dt - 2 * travel * shape,
            dt + 2 * travel * shape,
            2 * travel * (1 - shape) - dt,
        ]
        return below, jnp.stack(above) / below

    def plain(inflow, travel, shape, dt):
        c = weights(travel, shape, dt)[1]

        def step(out, water):
            out = c[0] * water[1] + c[1] * water[0] + c[2] * out
            return out, out

        rest = lax.scan(step, inflow[0], (inflow[:-1], inflow[1:]))[1]
        return jnp.concatenate([inflow[:1], rest])

    route = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(inflow, travel, shape, dt):
        out = plain(inflow, travel, shape, dt)
        return out, (inflow, travel, shape, out)

    def bwd(dt, res, g):
        inflow, travel, shape, out = res
        below, c = weights(travel, shape, dt)

        def step(later, g):
            adjoint = g + c[2] * later
            return adjoint, adjoint

        adjoint = lax.scan(step, jnp.zeros_like(g[0]), g, reverse=True)[1]
        first, later = adjoint[:1], adjoint[1:]
        dinflow = jnp.zeros_like(inflow).at[1:].add(c[0] * later)
        dinflow = dinflow.at[:-1].add(c[1] * later)
        if slip != "first outflow":
            dinflow = dinflow.at[:1].add(first)
        before = inflow[1:] if slip == "inflow before" else inflow[:-1]
        dc = jnp.stack([later @ inflow[1:], later @ before, later @ out[:-1]])
        dabove = dc / below
        dbelow = 0 if slip == "common denominator" else -(dc @ c) / below
        outer = dabove[2] + dbelow
        inner = dabove[1] - dabove[0]
        dtravel = 2 * shape * inner + 2 * (1 - shape) * outer
        return dinflow, dtravel, 2 * travel * (inner - outer)

    route.defvjp(fwd, bwd)
    return route, plain
