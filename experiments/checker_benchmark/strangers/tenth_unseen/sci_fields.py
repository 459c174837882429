"""Steps of fields on grids."""

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
    "one-dimensional FDTD (fdtdx, ceviche) in jax",
    "staggered wave solver",
    lambda rng: (
        (normal(rng, 6), normal(rng, 5)),
        positive(rng, 4),
        normal(rng, 7),
        (0.4, 2),
    ),
    Twin(
        "magnetic curl",
        "sign",
        "fields epsilon source",
        "The curl that drives H has the wrong sign on the way back.",
    ),
    Twin(
        "source's place",
        "index|operand|region|elements",
        "source",
        "The source's gradient is read off one cell to the right.",
    ),
    Twin(
        "permittivity",
        "power|factor|function|operand|residual",
        "epsilon",
        "The reciprocal's derivative lacks a power of the permittivity.",
    ),
    narrow=False,
    fixed=(1,),
)
def yee_leapfrog(slip):
    # E on 6 nodes, the walls stay; H on 5 between them; epsilon on the inner nodes
    def tick(EH, s, epsilon, how):
        dt, cell = how
        E, H = EH
        H = H + dt * (E[1:] - E[:-1])
        E = E.at[1:-1].add(dt / epsilon * (H[1:] - H[:-1]))
        return E.at[cell].add(s), H

    def plain(fields, epsilon, source, how):
        def body(EH, s):
            EH = tick(EH, s, epsilon, how)
            return EH, EH[0]

        return lax.scan(body, fields, source)

    fdtd = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(fields, epsilon, source, how):
        def body(EH, s):
            new = tick(EH, s, epsilon, how)
            return new, (new[0], new[1])

        last, (E, H) = lax.scan(body, fields, source)
        return (last, E), (H, epsilon)

    def bwd(how, res, cts):
        dt, cell = how
        H, epsilon = res
        (dE, dH), dEs = cts

        def back(carry, inp):
            dE, dH, deps = carry
            h, de = inp
            dE = dE + de
            ds = dE[cell + 1] if slip == "source's place" else dE[cell]
            inner = dE[1:-1]
            pw = epsilon if slip == "permittivity" else epsilon**2
            deps = deps - dt * inner * (h[1:] - h[:-1]) / pw
            push = dt / epsilon * inner
            dH = dH.at[1:].add(push).at[:-1].add(-push)
            t = -dt if slip == "magnetic curl" else dt
            dE = dE.at[1:].add(t * dH).at[:-1].add(-t * dH)
            return (dE, dH, deps), ds

        start = (dE, dH, jnp.zeros_like(epsilon))
        (dE, dH, deps), ds = lax.scan(back, start, (H, dEs), reverse=True)
        return (dE, dH), deps, ds

    fdtd.defvjp(fwd, bwd)
    return fdtd, plain


@case(
    "phase separation by explicit steps on a periodic grid in jax",
    "nonlinear stencil",
    lambda rng: (normal(rng, 4, 5, std=0.5), jnp.asarray([0.7, 0.3]), 0.05),
    Twin(
        "double well",
        "factor|function|term|power|ratio",
        "c",
        "The derivative of c^3 lacks its 3.",
    ),
    Twin(
        "interface",
        "term|path",
        "c",
        "The interface's energy has no gradient with respect to c.",
    ),
    Twin(
        "old concentration",
        "term|path",
        "c",
        "The step's identity is left out.",
    ),
    narrow=False,
)
def cahn_hilliard_step(slip):
    def lap(a):
        near = sum(jnp.roll(a, s, ax) for s in (1, -1) for ax in (0, 1))
        return near - 4 * a

    def plain(c, consts, dt):
        mobility, kappa = consts
        chem = c**3 - c - kappa * lap(c)
        return c + dt * mobility * lap(chem)

    step = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(c, consts, dt):
        return plain(c, consts, dt), (c, consts)

    def bwd(dt, res, g):
        c, (mobility, kappa) = res
        chem = c**3 - c - kappa * lap(c)
        lg = lap(g)
        dchem = dt * mobility * lg
        three = 1 if slip == "double well" else 3
        dc = dchem * (three * c**2 - 1)
        if slip != "interface":
            dc = dc - kappa * lap(dchem)
        if slip != "old concentration":
            dc = dc + g
        dconsts = jnp.stack([dt * (lg * chem).sum(), -(dchem * lap(c)).sum()])
        return dc, dconsts

    step.defvjp(fwd, bwd)
    return step, plain
