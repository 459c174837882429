"""Mechanics: trajectories, turns, arms and the steps of their solvers."""

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


def neural_ode(rng):
    params = {"w": normal(rng, 3, 3, std=0.5), "b": normal(rng, 3, std=0.3)}
    times = jnp.asarray([0.0, 0.3, 0.5, 1.0, 1.2], jnp.float32)
    return normal(rng, 3), times, params


@case(
    "jax.experimental.ode-like: RK4 between the times of a table, steps recomputed",
    "time stepping",
    neural_ode,
    Twin(
        "states after the steps",
        "index|residual|operand",
        "start params times",
        "A step is recomputed from the state that it has led to.",
    ),
    Twin(
        "lengths of the steps",
        "term|path|sign",
        "times",
        "A time ends one step and begins the next; the beginning is left out.",
    ),
    Twin(
        "last outputs",
        "cotangent|term|path",
        "start params times",
        "The cotangents of the states in between are dropped.",
    ),
    fixed=(1,),
)
def rk4_trajectory(slip):
    def field(t, y, params):
        return jnp.tanh(params["w"] @ y + params["b"]) * jnp.cos(t) - 0.1 * y

    def step(y, t0, t1, params):
        h = t1 - t0
        k1 = field(t0, y, params)
        k2 = field(t0 + h / 2, y + h / 2 * k1, params)
        k3 = field(t0 + h / 2, y + h / 2 * k2, params)
        k4 = field(t1, y + h * k3, params)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    @jax.custom_vjp
    def solve(start, times, params):
        def one(y, pair):
            y = step(y, *pair, params)
            return y, y

        ys = lax.scan(one, start, (times[:-1], times[1:]))[1]
        return jnp.concatenate([start[None], ys])

    def fwd(start, times, params):
        ys = solve.fun(start, times, params)
        return ys, (ys, times, params)

    def bwd(res, g):
        ys, times, params = res
        states = ys[1:] if slip == "states after the steps" else ys[:-1]
        before = g[:-1]
        if slip == "last outputs":
            before = jnp.zeros_like(before)

        def back(carry, item):
            dy, dparams = carry
            y, t0, t1, g = item
            dy, dt0, dt1, more = jax.vjp(step, y, t0, t1, params)[1](dy)
            dparams = jax.tree.map(jnp.add, dparams, more)
            return (dy + g, dparams), (dt0, dt1)

        zero = jax.tree.map(jnp.zeros_like, params)
        items = (states, times[:-1], times[1:], before)
        (dy, dparams), (dt0, dt1) = lax.scan(back, (g[-1], zero), items, reverse=True)
        dtimes = jnp.zeros_like(times).at[1:].add(dt1)
        if slip != "lengths of the steps":
            dtimes = dtimes.at[:-1].add(dt0)
        return dy, dtimes, dparams

    solve.defvjp(fwd, bwd)
    return solve, solve.fun


def gyroscope(rng):
    return jnp.asarray([1.0, 0, 0, 0], jnp.float32), normal(rng, 6, 3), 0.2


def lying_still(rng):
    start, rates, dt = gyroscope(rng)
    return start, rates.at[:2].set(0), dt


@case(
    "inertial navigation in jaxlie: quaternions from the rates of a gyroscope",
    "rotation",
    gyroscope,
    Twin(
        "not conjugated",
        "sign|transpose|operand|function",
        "start",
        "Right factors are pulled back through the turn, not through its inverse.",
    ),
    Twin(
        "sinc held",
        "term|path",
        "rates",
        "The sine over the angle is not differentiated.",
    ),
    Twin(
        "lying still",
        "edge|nan|finite",
        "rates",
        "Without rotation the slope of the sinc is zero over zero.",
        witness=lying_still,
    ),
)
def gyroscope_integration(slip):
    def times(p, q):
        w = p[0] * q[0] - p[1:] @ q[1:]
        vector = p[0] * q[1:] + q[0] * p[1:] + jnp.cross(p[1:], q[1:])
        return jnp.concatenate([w[None], vector])

    def conjugate(q):
        return jnp.concatenate([q[:1], -q[1:]])

    def sinc(squared):
        """sin(a) / a and its slope over a, of the angle's square."""
        near = squared < 0.25
        a = jnp.sqrt(jnp.where(near, 1, squared))
        s = jnp.where(near, squared, 0)
        series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
        value = jnp.where(near, series, jnp.sin(a) / a)
        slope = -1 / 3 + s * (1 / 30 - s * (1 / 840 - s * (1 / 45360 - s / 3991680)))
        direct = (a * jnp.cos(a) - jnp.sin(a)) / a**3
        return value, jnp.where(near, slope, direct)

    def turn(v):
        squared = v @ v
        near = squared < 1e-2
        s = jnp.where(near, squared, 0)
        series = 1 - s / 2 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56)))
        cosine = jnp.where(near, series, jnp.cos(jnp.sqrt(jnp.where(near, 1, squared))))
        return jnp.concatenate([cosine[None], sinc(squared)[0] * v])

    def plain(start, rates, dt):
        def step(q, rate):
            q = times(q, turn(rate * dt / 2))
            return q, q

        return lax.scan(step, start, rates)[1]

    integrate = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(start, rates, dt):
        qs = plain(start, rates, dt)
        return qs, (jnp.concatenate([start[None], qs[:-1]]), rates)

    def bwd(dt, res, g):
        before, rates = res

        def back(dq, item):
            q, rate, g = item
            dq = dq + g
            v = rate * dt / 2
            r = turn(v)
            dr = times(conjugate(q), dq)
            value, slope = sinc(v @ v)
            if slip == "lying still":
                a = jnp.sqrt(v @ v)
                slope = (a * jnp.cos(a) - jnp.sin(a)) / a**3
            dv = value * (dr[1:] - v * dr[0])
            if slip != "sinc held":
                dv = dv + slope * v * (v @ dr[1:])
            factor = r if slip == "not conjugated" else conjugate(r)
            return times(dq, factor), dv * dt / 2

        return lax.scan(
            back, jnp.zeros_like(before[0]), (before, rates, g), reverse=True
        )

    integrate.defvjp(fwd, bwd)
    return integrate, plain
