"""Bugs with their threads: damping of joints, levels of one energy."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def joints(rng):
    half = rng.normal(0, 0.3, (3, 3))
    mass = jnp.asarray(np.eye(3) + half @ half.T, jnp.float32)
    damping = positive(rng, 2, 3, low=0.1, high=0.5)
    return normal(rng, 3), mass, normal(rng, 3), damping, 0.05


@case(
    "google-deepmind/mujoco_warp#1423",
    "rigid bodies",
    joints,
    Twin(
        "as reported",
        "term|path",
        "velocity",
        "Damping that grows with the velocity is taken as it was on recording.",
    ),
    kind="bug",
    name="damped_velocity_step mujoco_warp#1423",
    narrow=False,
)
def damped_velocity_step(slip):
    def system(velocity, mass, torque, damping, dt):
        drag = damping[0] + damping[1] * velocity**2
        matrix = mass + dt * jnp.diag(drag)
        return drag, matrix, jnp.linalg.solve(matrix, torque - drag * velocity)

    def plain(velocity, mass, torque, damping, dt):
        return velocity + dt * system(velocity, mass, torque, damping, dt)[2]

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(velocity, mass, torque, damping, dt):
        found = system(velocity, mass, torque, damping, dt)
        return velocity + dt * found[2], (velocity, damping, *found)

    def bwd(dt, res, g):
        velocity, damping, drag, matrix, acceleration = res
        pulled = jnp.linalg.solve(matrix.T, dt * g)
        ddrag = -pulled * (velocity + dt * acceleration)
        dvelocity = g - drag * pulled
        if not slip:
            dvelocity = dvelocity + 2 * damping[1] * velocity * ddrag
        ddamping = jnp.stack([ddrag, velocity**2 * ddrag])
        return dvelocity, -jnp.outer(pulled, acceleration), pulled, ddamping

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "pytorch/pytorch#47599",
    "eigenvectors",
    lambda rng: (-jnp.eye(6)[np.arange(6) - 1] - jnp.eye(6)[(np.arange(6) + 1) % 6],),
    Twin(
        "as reported",
        "edge|nan|finite|mask|region|predicate",
        "hamiltonian",
        "Levels of the same energy are divided by the difference of their energies.",
    ),
    kind="bug",
    name="subspace_projector pytorch#47599",
    options=by_reference,
    narrow=False,
)
def subspace_projector(slip):
    def plain(hamiltonian):
        h = (hamiltonian + hamiltonian.T) / 2
        x = h / jnp.sqrt((h * h).sum())
        for _ in range(12):
            x = (x + jnp.linalg.inv(x)) / 2
        return (jnp.eye(len(h), dtype=h.dtype) - x) / 2

    @jax.custom_vjp
    def project(hamiltonian):
        return fwd(hamiltonian)[0]

    def fwd(hamiltonian):
        levels, vectors = jnp.linalg.eigh((hamiltonian + hamiltonian.T) / 2)
        filled = (levels < 0).astype(levels.dtype)
        return (vectors * filled) @ vectors.T, (levels, vectors, filled)

    def bwd(res, g):
        levels, vectors, filled = res
        dvectors = (g + g.T) @ (vectors * filled)
        gaps = levels - levels[:, None]
        if slip:
            gaps = jnp.where(jnp.eye(len(levels)) == 1, jnp.inf, gaps)
        else:
            gaps = jnp.where(filled == filled[:, None], jnp.inf, gaps)
        dh = vectors @ (vectors.T @ dvectors / gaps) @ vectors.T
        return ((dh + dh.T) / 2,)

    project.defvjp(fwd, bwd)
    return project, plain
