"""Rates, populations, cables and states of matter."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def enzymes(rng):
    params = {"top": positive(rng, 4), "half": positive(rng, 4), "power": 2.3}
    params["power"] = jnp.asarray(params["power"], jnp.float32)
    return positive(rng, 3, 4, low=0.1, high=3.0), params


@case(
    "Hill's rates in basico, tellurium, jax ports of SBML models",
    "reaction rates",
    enzymes,
    Twin(
        "logarithm of the substrate",
        "term|function|operand|ratio",
        "params",
        "The power's gradient holds log(x) where log(x / half) belongs.",
    ),
    Twin(
        "one of the two",
        "term|path|factor",
        "substrate",
        "The substrate in the denominator is taken to be constant.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def hill_kinetics(slip):
    def share(x, half, power):
        return 1 / (1 + (half / x) ** power)

    @jax.custom_vjp
    def rate(substrate, params):
        return params["top"] * share(substrate, params["half"], params["power"])

    plain = rate.fun

    def fwd(substrate, params):
        s = share(substrate, params["half"], params["power"])
        return params["top"] * s, (substrate, params, s)

    def bwd(res, g):
        x, p, s = res
        slope = g * p["top"] * s * (1 - s)
        dx = slope * p["power"] / x
        if slip == "one of the two":
            dx = g * p["top"] * s * p["power"] / x
        log = jnp.log(x if slip == "logarithm of the substrate" else x / p["half"])
        dparams = {
            "top": (g * s).sum(0),
            "half": -(slope * p["power"] / p["half"]).sum(0),
            "power": (slope * log).sum(),
        }
        return dx, dparams

    rate.defvjp(fwd, bwd)
    return rate, plain


def foxes(rng):
    rates = jnp.asarray([1.1, 0.5, 0.4, 0.9], jnp.float32)
    return positive(rng, 2), rates, 0.1, 5


@case(
    "Lotka and Volterra's populations by Runge-Kutta steps in numpyro examples",
    "time stepping",
    foxes,
    Twin(
        "plain mean of the stages",
        "factor|ratio|swap",
        "rates start",
        "The middle stages have weight 1 of 6 in the backward pass.",
    ),
    Twin(
        "last state",
        "term|cotangent|path|index",
        "rates start",
        "Of the saved states the last one's cotangent is used alone.",
    ),
    fixed=(0, 1),
    narrow=False,
)
def lotka_volterra_rk4(slip):
    def field(y, p):
        return jnp.stack([y[0] * (p[0] - p[1] * y[1]), y[1] * (p[2] * y[0] - p[3])])

    def field_back(y, p, g):
        dy = jnp.stack(
            [
                g[0] * (p[0] - p[1] * y[1]) + g[1] * p[2] * y[1],
                -g[0] * p[1] * y[0] + g[1] * (p[2] * y[0] - p[3]),
            ]
        )
        both = y[0] * y[1]
        return dy, jnp.stack([g[0] * y[0], -g[0] * both, g[1] * both, -g[1] * y[1]])

    def stages(y, p, h):
        y2 = y + h / 2 * field(y, p)
        y3 = y + h / 2 * field(y2, p)
        return y, y2, y3, y + h * field(y3, p)

    def plain(start, rates, h, steps):
        def step(y, _):
            k1, k2, k3, k4 = (field(s, rates) for s in stages(y, rates, h))
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return y, y

        return lax.scan(step, start, None, length=steps)[1]

    solve = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(start, rates, h, steps):
        path = plain(start, rates, h, steps)
        return path, (jnp.concatenate([start[None], path[:-1]]), rates)

    def bwd(h, steps, res, g):
        before, p = res
        middle = 1 if slip == "plain mean of the stages" else 2
        if slip == "last state":
            g = g.at[:-1].set(0)

        def step(carry, given):
            (lam, dp), (y, gi) = carry, given
            lam = lam + gi
            total, ds = lam, jnp.zeros_like(lam)
            weights, links = (1, middle, middle, 1), (0, h / 2, h / 2, h)
            for i, s in reversed(list(enumerate(stages(y, p, h)))):
                after = links[i + 1] if i < 3 else 0
                dk = h / 6 * weights[i] * lam + after * ds
                ds, here = field_back(s, p, dk)
                total, dp = total + ds, dp + here
            return (total, dp), None

        start = (jnp.zeros_like(g[0]), jnp.zeros_like(p))
        return lax.scan(step, start, (before, g), reverse=True)[0]

    solve.defvjp(fwd, bwd)
    return solve, plain


def cable(rng):
    v, drive = draw(v=(6,), drive=(6,))(rng)
    return v, drive, positive(rng, 6), positive(rng, 5), 0.2


@case(
    "implicit step of the cable equation in jaxley",
    "linear solve",
    cable,
    Twin(
        "diagonal alone",
        "term|path",
        "axial",
        "The axial conductance is on the diagonal and beside it: half is forgotten.",
    ),
    Twin(
        "leak of the old voltage",
        "residual|operand",
        "leak",
        "The leak acts on the new voltage; the old one is read.",
    ),
    Twin(
        "without the step",
        "factor|ratio",
        "drive",
        "The current is multiplied by the time step: forgotten.",
    ),
    narrow=False,
)
def cable_implicit_step(slip):
    def matrix(leak, axial, dt):
        n = leak.shape[0]
        one = jnp.eye(n, dtype=leak.dtype)
        edges = one[1:] - one[:-1]
        return one + dt * (jnp.diag(leak) + edges.T @ (axial[:, None] * edges))

    def plain(v, drive, leak, axial, dt):
        return jnp.linalg.solve(matrix(leak, axial, dt), v + dt * drive)

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(v, drive, leak, axial, dt):
        after = plain(v, drive, leak, axial, dt)
        kept = v if slip == "leak of the old voltage" else after
        return after, {"leak": leak, "axial": axial, "kept": kept, "after": after}

    def bwd(dt, res, g):
        u = jnp.linalg.solve(matrix(res["leak"], res["axial"], dt), g)
        after = res["after"]
        daxial = -dt * jnp.diff(u) * jnp.diff(after)
        if slip == "diagonal alone":
            daxial = -dt * (u[1:] * after[1:] + u[:-1] * after[:-1])
        ddrive = u if slip == "without the step" else dt * u
        return u, ddrive, -dt * u * res["kept"], daxial

    step.defvjp(fwd, bwd)
    return step, plain


def quantum(rng):
    state = normal(rng, 4) + 1j * normal(rng, 4)
    terms = normal(rng, 3, 4, 4) + 1j * normal(rng, 3, 4, 4)
    terms = terms + terms.conj().swapaxes(1, 2)
    return state.astype(jnp.complex64), normal(rng, 3), terms.astype(jnp.complex64)


@case(
    "energy of a state that is not normalised in netket, dynamiqs",
    "complex expectation",
    quantum,
    Twin(
        "norm constant",
        "term|path",
        "state",
        "The state's norm divides the energy: forgotten.",
    ),
    Twin(
        "not conjugated",
        "sign|transpose|cotangent",
        "state",
        "The gradient of the state is conjugated once too few.",
    ),
    narrow=False,
    close=1e-6,
)
def rayleigh_quotient(slip):
    @jax.custom_vjp
    def energy(state, weights, terms):
        h = jnp.einsum("k,kij->ij", weights, terms)
        norm = (state.real**2 + state.imag**2).sum()
        return jnp.real(state.conj() @ h @ state) / norm

    plain = energy.fun

    def fwd(state, weights, terms):
        e = plain(state, weights, terms)
        return e, (state, weights, terms, e)

    def bwd(res, g):
        state, weights, terms, e = res
        norm = (state.real**2 + state.imag**2).sum()
        each = terms @ state
        back = jnp.einsum("kji,j->ki", terms.conj(), state)
        drive = jnp.einsum("k,ki->i", weights, each + back)
        if slip != "norm constant":
            drive = drive - 2 * e * state
        dstate = g / norm * drive
        if slip != "not conjugated":
            dstate = dstate.conj()
        dweights = g / norm * jnp.real(each @ state.conj())
        pairs = g / norm * jnp.outer(state.conj(), state)
        return dstate, dweights, weights[:, None, None] * pairs

    energy.defvjp(fwd, bwd)
    return energy, plain
