"""Bugs of simulators with their threads: energies, circuits, loops."""

import itertools

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


def box(rng):
    return 4 * jnp.eye(3) + 0.3 * normal(rng, 3, 3)


def crystal(charges):
    def args(rng):
        places = jnp.asarray(rng.uniform(size=(4, 3)), jnp.float32)
        return places, jnp.asarray(charges, jnp.float32), box(rng), 0.8

    return args


@case(
    "NVIDIA/nvalchemi-toolkit-ops#61",
    "energy of particles",
    crystal([1, -1, 1, -1]),
    Twin(
        "as reported",
        "term|path",
        "cell",
        "That the background of a charged cell depends on the cell is left out.",
        witness=crystal([1, -1, 1, 0.5]),
    ),
    kind="bug",
    name="background_energy nvalchemi-toolkit-ops#61",
    fixed=(0, 2),
    narrow=False,
)
def background_energy(slip):
    """Of fractional coordinates: Ewald's reciprocal sum less the background."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    miller = every[(every != 0).any(1)]

    def parts(places, charges, cell, alpha):
        n = jnp.asarray(miller, cell.dtype)
        k = 2 * jnp.pi * n @ jnp.linalg.inv(cell).T
        squared = (k * k).sum(-1)
        weight = jnp.exp(-squared / (4 * alpha**2)) / squared
        phase = 2 * jnp.pi * places @ n.T
        cos, sin = jnp.cos(phase), jnp.sin(phase)
        return k, squared, weight, cos, sin, charges @ cos, charges @ sin

    def energies(places, charges, cell, alpha):
        _, _, weight, _, _, real, imaginary = parts(places, charges, cell, alpha)
        volume = jnp.abs(jnp.linalg.det(cell))
        waves = 2 * jnp.pi / volume * (weight * (real**2 + imaginary**2)).sum()
        return waves, jnp.pi * charges.sum() ** 2 / (2 * alpha**2 * volume)

    def plain(places, charges, cell, alpha):
        waves, background = energies(places, charges, cell, alpha)
        return waves - background

    energy = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(places, charges, cell, alpha):
        return plain(places, charges, cell, alpha), (places, charges, cell)

    def bwd(alpha, res, g):
        _, charges, cell = res
        k, squared, weight, cos, sin, real, imaginary = parts(*res, alpha)
        waves, background = energies(*res, alpha)
        volume = jnp.abs(jnp.linalg.det(cell))
        front = 2 * jnp.pi / volume * weight
        dphase = charges[:, None] * 2 * front * (cos * imaginary - sin * real)
        dplaces = 2 * jnp.pi * dphase @ jnp.asarray(miller, cell.dtype)
        dcharges = (2 * front * (cos * real + sin * imaginary)).sum(-1)
        dcharges = dcharges - jnp.pi * charges.sum() / (alpha**2 * volume)
        held = waves if slip else waves - background
        dsquared = -front * (1 / (4 * alpha**2) + 1 / squared)
        dsquared = dsquared * (real**2 + imaginary**2)
        stress = 2 * (dsquared[:, None] * k).T @ k + held * jnp.eye(3, dtype=k.dtype)
        dcell = -jnp.linalg.inv(cell).T @ stress
        return g * dplaces, g * dcharges, g * dcell

    energy.defvjp(fwd, bwd)
    return energy, plain


@case(
    "isayevlab/aimnetcentral#36",
    "energy of particles",
    lambda rng: (
        jnp.asarray(rng.uniform(size=(3, 3)), jnp.float32),
        box(rng),
        positive(rng, 3),
    ),
    Twin(
        "as reported",
        "sign|ratio",
        "cell",
        "The cell's gradient is made of the virial without its sign.",
    ),
    kind="bug",
    name="dispersion_cell aimnetcentral#36",
    options=lambda plain: {"edges": False},
    fixed=(0, 1),
    narrow=False,
)
def dispersion_cell(slip):
    """Damped dispersion of all pairs, with the images in the cells around."""
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))

    def pairs(places, cell):
        gaps = places[:, None] - places + jnp.asarray(shifts, cell.dtype)[:, None, None]
        used = (shifts != 0).any(1)[:, None, None] | ~np.eye(len(places), dtype=bool)
        r = gaps @ cell
        return r, (r * r).sum(-1), used

    def damped(squared, used):
        return jnp.where(used, 1 / (squared**3 + 8), 0)

    @jax.custom_vjp
    def energy(places, cell, strength):
        _, squared, used = pairs(places, cell)
        mixed = jnp.sqrt(strength[:, None] * strength)
        return -0.5 * (mixed * damped(squared, used)).sum()

    def fwd(places, cell, strength):
        r, squared, used = pairs(places, cell)
        mixed = jnp.sqrt(strength[:, None] * strength)
        part = damped(squared, used)
        pull = 3 * mixed * squared**2 * part**2  # of -E / 2 by r, times r
        towards = pull[..., None] * r
        virial = -jnp.einsum("sija,sijb->ab", r, towards)
        value = -0.5 * (mixed * part).sum()
        dstrength = -0.5 * (mixed * part.sum(0)).sum(1) / strength
        dplaces = 2 * towards.sum((0, 2)) @ cell.T
        return value, (dplaces, dstrength, virial, cell)

    def bwd(res, g):
        dplaces, dstrength, virial, cell = res
        dcell = jnp.linalg.inv(cell).T @ (virial if slip else -virial)
        return g * dplaces, g * dcell, g * dstrength

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def circuit(*names):
    def args(rng):
        angles = {name: jnp.float32(rng.uniform(0, 3)) for name in sorted({*names})}
        return angles, tuple((name, i % 2) for i, name in enumerate(names))

    return args


@case(
    "pasqal-io/pyqtorch#149",
    "quantum circuit",
    circuit("theta_0", "theta_1", "theta_2"),
    Twin(
        "as reported",
        "duplicates|sum|term|path|index",
        "angles",
        "Of gates that share an angle one gives the gradient.",
        witness=circuit("theta_0", "theta_1", "theta_0"),
    ),
    kind="bug",
    name="repeated_rotation pyqtorch#149",
    narrow=False,
)
def repeated_rotation(slip):
    """Mean of Z on the first of two qubits; gates are RX, each before a CZ."""

    def on_wire(gate, wire):
        gates = [jnp.eye(2, dtype=gate.dtype)] * 2
        gates[wire] = gate
        return jnp.kron(*gates)

    def rotation(angle, wire, slope=False):
        cos, sin = jnp.cos(angle / 2), jnp.sin(angle / 2)
        real, imaginary = (-sin / 2, -cos / 2) if slope else (cos, -sin)
        none = jnp.zeros_like(angle)
        diagonal, other = lax.complex(real, none), lax.complex(none, imaginary)
        gate = jnp.stack([diagonal, other, other, diagonal]).reshape(2, 2)
        return jnp.array([1, 1, 1, -1])[:, None] * on_wire(gate, wire)

    signs = jnp.array([1, 1, -1, -1])

    def run(angles, gates):
        state = jnp.zeros(4, rotation(angles[gates[0][0]], 0).dtype).at[0].set(1)
        for name, wire in gates:
            state = rotation(angles[name], wire) @ state
        return state

    def plain(angles, gates):
        state = run(angles, gates)
        return (signs * (state.real**2 + state.imag**2)).sum()

    mean = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(angles, gates):
        state = run(angles, gates)
        value = (signs * (state.real**2 + state.imag**2)).sum()
        return value, (angles, state)

    def bwd(gates, res, g):
        angles, state = res
        projected = signs * state
        grads = jax.tree.map(jnp.zeros_like, angles)
        for name, wire in reversed(gates):
            back = rotation(angles[name], wire).conj().T
            state = back @ state
            moved = rotation(angles[name], wire, slope=True) @ state
            here = 2 * g * jnp.vdot(projected, moved).real
            grads[name] = here if slip else grads[name] + here
            projected = back @ projected
        return (grads,)

    mean.defvjp(fwd, bwd)
    return mean, plain


@case(
    "taichi-dev/taichi#4412",
    "loop",
    lambda rng: (normal(rng, 15), 5),
    Twin(
        "as reported",
        "ratio|factor|sum|constant|term|option",
        "a",
        "What is added to a local sum in a loop is pulled back once, not each time.",
    ),
    kind="bug",
    name="local_sum taichi#4412",
)
def local_sum(slip):
    def plain(a, repeats):
        return lax.fori_loop(0, repeats, lambda _, q: q + a, jnp.zeros_like(a))

    total = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(a, repeats):
        return plain(a, repeats), None

    def bwd(repeats, _, g):
        times = 1 if slip else repeats
        return (lax.fori_loop(0, times, lambda _, d: d + g, jnp.zeros_like(g)),)

    total.defvjp(fwd, bwd)
    return total, plain
