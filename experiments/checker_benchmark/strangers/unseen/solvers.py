"""Roots, least squares, iterations, time steps."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "optimistix.root_find on a cubic, by Newton's method",
    "root",
    lambda rng: ({"a": positive(rng, 4), "b": normal(rng, 4)}, jnp.float32(1.0)),
    Twin("wrong sign", "sign", "params", "The implicit derivative lacks its minus."),
    Twin(
        "slope not inverted",
        "function|factor|operand",
        "params",
        "Multiplied by the slope, not divided.",
    ),
    options=lambda plain: {"reference": plain, "nondiff": ("guess",)},
    fixed=(1,),
    narrow=False,
)
def newton_root(slip):
    def equation(x, params):
        return x**3 + params["a"] * x - params["b"]

    def improve(x, params):
        return x - equation(x, params) / (3 * x * x + params["a"])

    def plain(params, guess):
        x = jnp.broadcast_to(lax.stop_gradient(guess), params["b"].shape)
        for _ in range(30):
            x = improve(x, params)
        return x

    @jax.custom_vjp
    def root(params, guess):
        start = jnp.broadcast_to(guess, params["b"].shape)

        def go(state):
            i, x, last = state
            return (i < 60) & (jnp.abs(x - last).max() > 0)

        def step(state):
            i, x, _ = state
            return i + 1, improve(x, params), x

        return lax.while_loop(go, step, (0, start, start + 1))[1]

    def fwd(params, guess):
        x = root(params, guess)
        return x, (x, params)

    def bwd(res, g):
        x, params = res
        slope = 3 * x * x + params["a"]
        u = g * slope if slip == "slope not inverted" else g / slope
        if slip == "wrong sign":
            u = -u
        return {"a": -u * x, "b": u}, None

    root.defvjp(fwd, bwd)
    return root, plain


@case(
    "lineax.linear_solve of a tall matrix",
    "linear solver",
    draw(a=(6, 3), b=(6,)),
    Twin("residual's term", "term|path", "a", "As if the residual were 0."),
    Twin(
        "square formula",
        "path|term|function|operand",
        "a b",
        "The pseudo-inverse's transpose is wrong: normal equations are left out.",
    ),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def least_squares(slip):
    @jax.custom_vjp
    def lstsq(a, b):
        return jnp.linalg.solve(a.T @ a, a.T @ b)

    def fwd(a, b):
        x = lstsq.fun(a, b)
        return x, (a, b, x)

    def bwd(res, g):
        a, b, x = res
        u = jnp.linalg.solve(a.T @ a, g)
        if slip == "square formula":
            u = g
        da = -jnp.outer(a @ u, x)
        if slip != "residual's term":
            da = da + jnp.outer(b - a @ x, u)
        return da, a @ u

    lstsq.defvjp(fwd, bwd)
    return lstsq, lstsq.fun


def spd_system(rng):
    a = rng.normal(size=(5, 5))
    return jnp.asarray(a @ a.T / 5 + 2 * np.eye(5), jnp.float32), normal(rng, 5)


@case(
    "conjugate gradients as in jax.scipy.sparse.linalg.cg",
    "linear solver",
    spd_system,
    Twin("sign of the matrix", "sign", "a", "da is +u x^T."),
    Twin(
        "not solved again",
        "path|function|operand|factor",
        "a b",
        "The cotangent is used without a second solve.",
    ),
    options=lambda plain: {"reference": plain, "edges": False},
    fixed=(0,),
    narrow=False,
)
def conjugate_gradient(slip):
    def plain(a, b):
        return jnp.linalg.solve((a + a.T) / 2, b)

    def solve(a, b):
        a = (a + a.T) / 2

        def go(state):
            i, _, r, _ = state
            return (i < 50) & (r @ r > 1e-26 * (b @ b))

        def step(state):
            i, x, r, p = state
            ap = a @ p
            alpha = r @ r / (p @ ap)
            new = r - alpha * ap
            beta = new @ new / (r @ r)
            return i + 1, x + alpha * p, new, new + beta * p

        return lax.while_loop(go, step, (0, jnp.zeros_like(b), b, b))[1]

    @jax.custom_vjp
    def cg(a, b):
        return solve(a, b)

    def fwd(a, b):
        x = solve(a, b)
        return x, (a, x)

    def bwd(res, g):
        a, x = res
        u = g if slip == "not solved again" else solve(a, g)
        da = -(jnp.outer(u, x) + jnp.outer(x, u)) / 2
        return -da if slip == "sign of the matrix" else da, u

    cg.defvjp(fwd, bwd)
    return cg, plain


@case(
    "Kepler's equation in orbit fitting (jaxoplanet)",
    "root",
    lambda rng: (positive(rng, 5, low=0.3, high=2.8), jnp.float32(0.3)),
    Twin(
        "eccentricity's path",
        "sign|factor|operand|function",
        "eccentricity",
        "cos E for sin E.",
    ),
    Twin(
        "slope forgotten",
        "factor|path|function",
        "mean_anomaly",
        "dM is not over 1 - e cos E.",
    ),
    options=lambda plain: {"reference": plain, "edges": False},
    fixed=(1,),
    narrow=False,
    scales=(0.5, 1.0),
)
def kepler_solver(slip):
    def plain(mean_anomaly, eccentricity):
        E = mean_anomaly
        for _ in range(40):
            f = E - eccentricity * jnp.sin(E) - mean_anomaly
            E = E - f / (1 - eccentricity * jnp.cos(E))
        return E

    @jax.custom_vjp
    def kepler(mean_anomaly, eccentricity):
        def step(i, E):
            f = E - eccentricity * jnp.sin(E) - mean_anomaly
            return E - f / (1 - eccentricity * jnp.cos(E))

        return lax.fori_loop(0, 40, step, mean_anomaly)

    def fwd(mean_anomaly, eccentricity):
        E = kepler(mean_anomaly, eccentricity)
        return E, (E, eccentricity)

    def bwd(res, g):
        E, e = res
        u = g / (1 - e * jnp.cos(E))
        lever = jnp.cos(E) if slip == "eccentricity's path" else jnp.sin(E)
        return g if slip == "slope forgotten" else u, (u * lever).sum()

    kepler.defvjp(fwd, bwd)
    return kepler, plain


@case(
    "Euler steps with a recomputing adjoint, as in diffrax",
    "time stepping",
    lambda rng: (normal(rng, 3), 0.4 * normal(rng, 3, 3), 0.1, 6),
    Twin("last step only", "sum|term|path|index", "w", "dw of one step."),
    Twin(
        "state after the step",
        "index|residual|operand",
        "w y",
        "The slope is taken one step late.",
    ),
    options=by_reference,
)
def euler_adjoint(slip):
    def field(y, w):
        return jnp.tanh(y @ w)

    def plain(y, w, dt, steps):
        for _ in range(steps):
            y = y + dt * field(y, w)
        return y

    def path(y, w, dt, steps):
        def step(y, _):
            new = y + dt * field(y, w)
            return new, (y, new)

        return lax.scan(step, y, None, length=steps)

    def run(y, w, dt, steps):
        return path(y, w, dt, steps)[0]

    euler = jax.custom_vjp(run, nondiff_argnums=(2, 3))

    def fwd(y, w, dt, steps):
        return run(y, w, dt, steps), (y, w)

    def bwd(dt, steps, res, g):
        y, w = res
        before, after = path(y, w, dt, steps)[1]

        def step(state, y):
            a, dw = state
            slope = dt * a * (1 - field(y, w) ** 2)
            more = jnp.outer(y, slope)
            return (
                a + slope @ w.T,
                more if slip == "last step only" else dw + more,
            ), None

        states = after if slip == "state after the step" else before
        start = (g, jnp.zeros_like(w))
        (dy, dw), _ = lax.scan(step, start, states, reverse=True)
        return dy, dw

    euler.defvjp(fwd, bwd)
    return euler, plain


@case(
    "leapfrog steps of wave equations in j-Wave",
    "time stepping",
    lambda rng: (
        normal(rng, 8),
        normal(rng, 8),
        positive(rng, 8, low=0.3, high=0.8),
        4,
    ),
    Twin(
        "speed outside",
        "transpose|operand|function",
        "speed",
        "The Laplacian is taken after the product with the speed.",
    ),
    Twin(
        "older state dropped",
        "path|term|sign",
        "before now speed",
        "The minus of the older state is not run back.",
    ),
    options=by_reference,
    fixed=(2,),
)
def wave_equation(slip):
    def laplace(u):
        return jnp.roll(u, 1) + jnp.roll(u, -1) - 2 * u

    def plain(before, now, speed, steps):
        for _ in range(steps):
            before, now = now, 2 * now - before + speed * laplace(now)
        return now

    def path(before, now, speed, steps):
        def step(state, _):
            before, now = state
            new = 2 * now - before + speed * laplace(now)
            return (now, new), now

        return lax.scan(step, (before, now), None, length=steps)

    def run(before, now, speed, steps):
        return path(before, now, speed, steps)[0][1]

    wave = jax.custom_vjp(run, nondiff_argnums=(3,))

    def fwd(before, now, speed, steps):
        (_, end), states = path(before, now, speed, steps)
        return end, (speed, states)

    def bwd(steps, res, g):
        speed, states = res

        def step(state, u):
            da, db, dspeed = state  # of the older and of the newer state
            dspeed = dspeed + db * laplace(u)
            moved = (
                speed * laplace(db) if slip == "speed outside" else laplace(speed * db)
            )
            new = da + 2 * db + moved
            older = jnp.zeros_like(db) if slip == "older state dropped" else -db
            return (older, new, dspeed), None

        zero = jnp.zeros_like(g)
        start = (zero, g, zero)
        (da, db, dspeed), _ = lax.scan(step, start, states, reverse=True)
        return da, db, dspeed

    wave.defvjp(fwd, bwd)
    return wave, plain
