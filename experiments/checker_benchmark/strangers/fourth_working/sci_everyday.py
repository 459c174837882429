"""Rules of people's own code: rollouts, checkpoints, gradients that are kept."""

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


def cart(rng):
    parameters = {"cart": 1.0, "pole": 0.1, "length": 0.5}
    parameters = jax.tree.map(jnp.float32, parameters)
    return parameters, 0.1 * normal(rng, 4), normal(rng, 6), 0.05


@case(
    "cart-pole rollouts in gymnax-like environments, differentiated by hand",
    "time stepping",
    cart,
    Twin(
        "costs on the way",
        "term|path|index",
        "parameters start actions",
        "Only the last state's cotangent is taken, not those of the states before.",
    ),
    Twin(
        "state after the step",
        "residual|operand|index",
        "parameters start actions",
        "Steps are pulled back at the state that they gave.",
    ),
    Twin(
        "parameters of one step",
        "term|sum|path|index",
        "parameters",
        "Those of the step before replace a step's gradient; nothing is summed.",
    ),
    fixed=(0,),
    narrow=False,
)
def cartpole_rollout(slip):
    """States after each action; velocities are updated first."""

    def step(p, state, action, dt):
        x, v, angle, spin = state
        sin, cos, mass = jnp.sin(angle), jnp.cos(angle), p["cart"] + p["pole"]
        pull = (action + p["pole"] * p["length"] * spin**2 * sin) / mass
        arm = p["length"] * (4 / 3 - p["pole"] * cos**2 / mass)
        turning = (9.8 * sin - cos * pull) / arm
        pushed = pull - p["pole"] * p["length"] * turning * cos / mass
        v, spin = v + dt * pushed, spin + dt * turning
        return jnp.stack([x + dt * v, v, angle + dt * spin, spin])

    def plain(parameters, start, actions, dt):
        def one(state, action):
            new = step(parameters, state, action, dt)
            return new, new

        return lax.scan(one, start, actions)[1]

    rollout = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(parameters, start, actions, dt):
        states = plain(parameters, start, actions, dt)
        return states, (parameters, start, actions, states)

    def bwd(dt, res, g):
        parameters, start, actions, states = res
        before = jnp.concatenate([start[None], states[:-1]])
        if slip == "state after the step":
            before = states
        if slip == "costs on the way":
            g = g.at[:-1].set(0)

        def back(carry, item):
            dstate, dparameters = carry
            state, action, dy = item
            _, pull = jax.vjp(lambda *a: step(*a, dt), parameters, state, action)
            more, dstate, daction = pull(dstate + dy)
            if slip != "parameters of one step":
                more = jax.tree.map(jnp.add, dparameters, more)
            return (dstate, more), daction

        none = jnp.zeros_like(start), jax.tree.map(jnp.zeros_like, parameters)
        items = (before, actions, g)
        (dstart, dparameters), dactions = lax.scan(back, none, items, reverse=True)
        return dparameters, dstart, dactions

    rollout.defvjp(fwd, bwd)
    return rollout, plain


def population(steps):
    def args(rng):
        rates = {"diffusion": jnp.float32(0.2), "growth": jnp.float32(0.5)}
        return rates, jnp.abs(normal(rng, 7, std=0.3)), steps, 3

    return args


@case(
    "time loops in JAX that keep every k-th state and recompute the rest",
    "time stepping",
    population(6),
    Twin(
        "short last segment",
        "index|residual|term|region|option",
        "rates u",
        "Steps after the last whole segment are not pulled back.",
        witness=population(8),
    ),
    Twin(
        "end of the segment",
        "residual|operand|index",
        "rates u",
        "A segment is recomputed from the state at its end.",
    ),
    Twin(
        "diffusion not adjoint",
        "term|path|operand",
        "rates u",
        "The neighbours' part of the diffusion is left out of the step's adjoint.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.1, 1.0, 2.0),
)
def checkpointed_rollout(slip):
    """Explicit steps of diffusion with logistic growth, closed at both ends."""

    def laplacian(u):
        gaps = jnp.diff(u)
        return jnp.pad(gaps, (0, 1)) - jnp.pad(gaps, (1, 0))

    def step(rates, u):
        grown = rates["growth"] * u * (1 - u)
        return u + 0.2 * (rates["diffusion"] * laplacian(u) + grown)

    def advance(rates, u, count):
        return lax.fori_loop(0, count, lambda _, u: step(rates, u), u)

    def plain(rates, u, steps, every):
        return lax.scan(lambda u, _: (step(rates, u), None), u, None, steps)[0]

    rollout = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(rates, u, steps, every):
        kept = []
        for start in range(0, steps, every):
            after = advance(rates, u, min(every, steps - start))
            kept.append(after if slip == "end of the segment" else u)
            u = after
        return u, (rates, tuple(kept))

    def step_back(rates, u, dv):
        spread = laplacian(dv)
        if slip == "diffusion not adjoint":
            spread = -2 * dv
        du = dv + 0.2 * rates["diffusion"] * spread
        du = du + 0.2 * rates["growth"] * (1 - 2 * u) * dv
        grown = 0.2 * (dv * u * (1 - u)).sum()
        return du, {"diffusion": 0.2 * (dv * laplacian(u)).sum(), "growth": grown}

    def bwd(steps, every, res, g):
        rates, kept = res
        total = jax.tree.map(jnp.zeros_like, rates)
        for number in reversed(range(len(kept))):
            count = min(every, steps - number * every)
            if slip == "short last segment" and count < every:
                continue
            _, states = lax.scan(
                lambda u, _: (step(rates, u), u), kept[number], None, count
            )

            def back(carry, u):
                du, more = step_back(rates, u, carry[0])
                return (du, jax.tree.map(jnp.add, carry[1], more)), None

            (g, total), _ = lax.scan(back, (g, total), states, reverse=True)
        return total, g

    rollout.defvjp(fwd, bwd)
    return rollout, plain


def molecules(rng):
    parameters = {"depth": 1.0, "width": 0.9, "length": 1.2}
    parameters = jax.tree.map(jnp.float32, parameters)
    atoms = jnp.ones((3, 4), bool).at[2, 3].set(False)
    return parameters, normal(rng, 3, 4, 3), atoms


@case(
    "energies whose forces are computed in the forward and kept, as in MACE ports",
    "energy of particles",
    molecules,
    Twin(
        "forces kept",
        "sign|ratio",
        "positions",
        "What is kept are forces; they are taken for gradients.",
    ),
    Twin(
        "molecules not weighed",
        "cotangent|factor|operand",
        "parameters",
        "Gradients of the parameters are summed, not weighed by the cotangents.",
    ),
    Twin(
        "mean cotangent",
        "cotangent|sum|axis|operand|factor",
        "positions",
        "The positions of all molecules are weighed by the mean cotangent.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def cached_gradient_energy(slip):
    def energy(p, positions, atoms):
        """Morse energy of all pairs of one molecule; atoms may be padding."""
        gaps = positions[:, None] - positions
        pairs = jnp.tril(atoms[:, None] & atoms, -1)
        r = jnp.sqrt(jnp.where(pairs, (gaps**2).sum(-1), 1) + 1e-12)
        bond = -jnp.expm1(-p["width"] * (r - p["length"]))
        return jnp.where(pairs, p["depth"] * bond**2, 0).sum()

    @jax.custom_vjp
    def energies(parameters, positions, atoms):
        return jax.vmap(energy, (None, 0, 0))(parameters, positions, atoms)

    def fwd(parameters, positions, atoms):
        both = jax.vmap(jax.value_and_grad(energy, (0, 1)), (None, 0, 0))
        return both(parameters, positions, atoms)

    def bwd(res, g):
        of_parameters, of_positions = res
        weight = g
        if slip == "forces kept":
            weight = -g
        if slip == "mean cotangent":
            weight = jnp.full_like(g, g.mean())
        plain_sum = jnp.ones_like(g) if slip == "molecules not weighed" else g
        dparameters = jax.tree.map(lambda d: plain_sum @ d, of_parameters)
        return dparameters, weight[:, None, None] * of_positions, None

    energies.defvjp(fwd, bwd)
    return energies, energies.fun
