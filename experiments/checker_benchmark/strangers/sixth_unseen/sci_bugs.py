"""Bugs with their threads: costs and events of trajectories, directions."""

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


def feedback(rng):
    gain = normal(rng, 2, 2, std=0.1) + jnp.eye(2)
    return gain, normal(rng, 2), 0.05, 20


@case(
    "SciML/SciMLSensitivity.jl#302",
    "control",
    feedback,
    Twin(
        "as reported",
        "term|path",
        "gain",
        "The running cost depends on the parameters itself; that part is not added.",
    ),
    kind="bug",
    name="running_cost SciMLSensitivity.jl#302",
)
def running_cost(slip):
    def run(gain, start, dt, steps):
        def step(x, _):
            u = -gain @ x
            return x + dt * u, (x, dt * (x @ x + u @ u))

        return lax.scan(step, start, length=steps)[1]

    def plain(gain, start, dt, steps):
        return run(gain, start, dt, steps)[1].sum()

    cost = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(gain, start, dt, steps):
        states, costs = run(gain, start, dt, steps)
        return costs.sum(), (gain, states)

    def bwd(dt, steps, res, g):
        gain, states = res

        def back(carry, x):
            dx, dgain = carry
            u = -gain @ x
            moved, paid = dt * dx, 2 * dt * g * u
            seen = moved if slip else moved + paid
            dgain = dgain - jnp.outer(seen, x)
            return (dx + 2 * dt * g * x - gain.T @ (moved + paid), dgain), None

        zero = jnp.zeros_like(states[0]), jnp.zeros_like(gain)
        dstart, dgain = lax.scan(back, zero, states, reverse=True)[0]
        return dgain, dstart

    cost.defvjp(fwd, bwd)
    return cost, plain


@case(
    "SciML/SciMLSensitivity.jl#416",
    "events",
    lambda rng: (positive(rng, 4), positive(rng, 4), 0.1, 12, 4),
    Twin(
        "as reported",
        "residual|operand|index",
        "stock growth",
        "The event is pulled back at the state after it, not at the one before.",
    ),
    kind="bug",
    name="event_reset SciMLSensitivity.jl#416",
    scales=(0.1, 1.0, 3.0),
)
def event_reset(slip):
    def grow(stock, growth, dt):
        return stock + dt * growth * stock * (1 - stock)

    def harvest(stock):
        return stock / (1 + stock)

    def run(stock, growth, dt, steps, period):
        def step(x, n):
            grown = grow(x, growth, dt)
            after = jnp.where((n + 1) % period == 0, harvest(grown), grown)
            return after, (x, grown, after)

        return lax.scan(step, stock, jnp.arange(steps))

    def plain(stock, growth, dt, steps, period):
        return run(stock, growth, dt, steps, period)[0]

    simulate = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(stock, growth, dt, steps, period):
        end, states = run(stock, growth, dt, steps, period)
        return end, (growth, states)

    def bwd(dt, steps, period, res, g):
        growth, states = res

        def back(carry, item):
            dx, dgrowth = carry
            n, x, grown, after = item
            place = after if slip else grown
            event = (n + 1) % period == 0
            dgrown = jnp.where(event, dx / (1 + place) ** 2, dx)
            dgrowth = dgrowth + dt * dgrown * x * (1 - x)
            return (dgrown * (1 + dt * growth * (1 - 2 * x)), dgrowth), None

        items = jnp.arange(steps), *states
        return lax.scan(back, (g, jnp.zeros_like(g)), items, reverse=True)[0]

    simulate.defvjp(fwd, bwd)
    return simulate, plain


@case(
    "NVlabs/tiny-cuda-nn#25",
    "encoding",
    lambda rng: (normal(rng, 5, 3),),
    Twin(
        "as reported",
        "index|cotangent|residual",
        "directions",
        "Rows of the cotangent are the degree apart, not the number of harmonics.",
    ),
    kind="bug",
    name="direction_encoding tiny-cuda-nn#25",
)
def direction_encoding(slip):
    degree = 3
    c0, c1, c2, c3 = 0.28209479, 0.48860251, 1.09254843, 0.31539157

    def plain(directions):
        x, y, z = directions.T
        one = jnp.full_like(x, c0)
        first = [-c1 * y, c1 * z, -c1 * x]
        second = [c2 * x * y, -c2 * y * z, c3 * (3 * z**2 - 1), -c2 * x * z]
        return jnp.stack([one, *first, *second, c2 / 2 * (x**2 - y**2)], -1)

    encode = jax.custom_vjp(plain)

    def fwd(directions):
        return plain(directions), directions

    def bwd(directions, g):
        x, y, z = directions.T
        stride = degree if slip else degree**2
        start = stride * jnp.arange(len(directions))
        g = g.reshape(-1)[start[:, None] + jnp.arange(degree**2)].T
        dx = -c1 * g[3] + c2 * (y * g[4] - z * g[7] + x * g[8])
        dy = -c1 * g[1] + c2 * (x * g[4] - z * g[5] - y * g[8])
        dz = c1 * g[2] - c2 * (y * g[5] + x * g[7]) + 6 * c3 * z * g[6]
        return (jnp.stack([dx, dy, dz], -1),)

    encode.defvjp(fwd, bwd)
    return encode, plain


def coloured_points(rng):
    eye = jnp.array([0.0, 0.0, -4.0])
    return normal(rng, 6, 3), normal(rng, 6, 3, 4, std=0.3), eye


@case(
    "wanmeihuali/taichi_3d_gaussian_splatting#169",
    "splatting",
    coloured_points,
    Twin(
        "as reported",
        "zero|path|term",
        "points",
        "Colours depend on where a point is seen from; its place has no gradient.",
    ),
    kind="bug",
    name="view_dependent_colour taichi_3d_gaussian_splatting#169",
    options=lambda plain: {"nondiff": ("eye",)},
    fixed=(2,),
)
def view_dependent_colour(slip):
    c0, c1 = 0.28209479, 0.48860251

    def view(points, eye):
        away = points - eye
        distance = jnp.sqrt((away**2).sum(-1, keepdims=True))
        unit = away / distance
        x, y, z = unit.T
        basis = jnp.stack([jnp.full_like(x, c0), -c1 * y, c1 * z, -c1 * x], -1)
        return unit, distance, basis

    def plain(points, coefficients, eye):
        _, _, basis = view(points, eye)
        return jax.nn.sigmoid((coefficients * basis[:, None]).sum(-1))

    colour = jax.custom_vjp(plain)

    def fwd(points, coefficients, eye):
        out = plain(points, coefficients, eye)
        return out, (points, coefficients, eye, out)

    def bwd(res, g):
        points, coefficients, eye, out = res
        unit, distance, basis = view(points, eye)
        draw = g * out * (1 - out)
        dcoefficients = draw[..., None] * basis[:, None]
        if slip:
            return jnp.zeros_like(points), dcoefficients, jnp.zeros_like(eye)
        dbasis = (draw[..., None] * coefficients).sum(1)
        dunit = c1 * jnp.stack([-dbasis[:, 3], -dbasis[:, 1], dbasis[:, 2]], -1)
        across = dunit - unit * (dunit * unit).sum(-1, keepdims=True)
        return across / distance, dcoefficients, jnp.zeros_like(eye)

    colour.defvjp(fwd, bwd)
    return colour, plain
