"""Robots: accelerations of arms, and damped steps of inverse kinematics."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def arm(rng):
    names = {"m1": 1.2, "m2": 0.8, "l1": 0.5, "l2": 0.4}
    params = jax.tree.map(jnp.float32, names)
    return params, normal(rng, 4, 2), normal(rng, 4, 2), normal(rng, 4, 2)


@case(
    "two-link arms in brax-like simulators in JAX: accelerations from the torques",
    "dynamics",
    arm,
    Twin(
        "inertia held",
        "term|path",
        "params angles",
        "The matrix of inertia is solved with, but not differentiated.",
    ),
    Twin(
        "coupling once",
        "ratio|factor|term|path",
        "params angles",
        "Of the matrix's two equal entries one alone is pulled back.",
    ),
    Twin(
        "mean over the arms",
        "ratio|sum|factor",
        "params",
        "Masses and lengths, of all arms, get a mean.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def two_link_acceleration(slip):
    gravity = 9.81

    def terms(p, q, v, torque):
        a = (p["m1"] + p["m2"]) * p["l1"] ** 2
        b, d = p["m2"] * p["l1"] * p["l2"], p["m2"] * p["l2"] ** 2
        upper = (p["m1"] + p["m2"]) * gravity * p["l1"] * jnp.cos(q[0])
        lower = p["m2"] * gravity * p["l2"] * jnp.cos(q[0] + q[1])
        turn = b * jnp.sin(q[1])
        whirl = jnp.stack([-turn * (2 * v[0] + v[1]) * v[1], turn * v[0] ** 2])
        rest = torque - whirl - jnp.stack([upper + lower, lower])
        coupling = d + b * jnp.cos(q[1])
        corner = a + d + 2 * b * jnp.cos(q[1])
        return (corner, coupling, d), rest

    def solve(inertia, rest):
        corner, coupling, d = inertia
        det = corner * d - coupling**2
        first = d * rest[0] - coupling * rest[1]
        return jnp.stack([first, corner * rest[1] - coupling * rest[0]]) / det

    def one(p, q, v, torque):
        return solve(*terms(p, q, v, torque))

    @jax.custom_vjp
    def acceleration(params, angles, speeds, torques):
        return jax.vmap(one, (None, 0, 0, 0))(params, angles, speeds, torques)

    def fwd(params, angles, speeds, torques):
        value = acceleration.fun(params, angles, speeds, torques)
        return value, (params, angles, speeds, torques, value)

    def bwd(res, g):
        params, *states, value = res

        def single(q, v, torque, acceleration, g):
            (inertia, _), pull = jax.vjp(terms, params, q, v, torque)
            force = solve(inertia, g)
            both = force[0] * acceleration[1]
            if slip != "coupling once":
                both = both + force[1] * acceleration[0]
            matrix = -force[0] * acceleration[0], -both, -force[1] * acceleration[1]
            if slip == "inertia held":
                matrix = jax.tree.map(jnp.zeros_like, matrix)
            return pull((matrix, force))

        dparams, *dstates = jax.vmap(single)(*states, value, g)
        mean = slip == "mean over the arms"
        dparams = jax.tree.map(lambda d: d.mean(0) if mean else d.sum(0), dparams)
        return dparams, *dstates

    acceleration.defvjp(fwd, bwd)
    return acceleration, acceleration.fun


def reach(rng):
    return normal(rng, 2, 3, 6), normal(rng, 2, 3), jnp.float32(0.1), jnp.ones(6, bool)


def locked(rng):
    jacobian, error, damping, free = reach(rng)
    return jacobian, error, damping, free.at[1].set(False)


@case(
    "inverse kinematics in pyroki-like libraries: damped steps, locked joints masked",
    "linear solver",
    reach,
    Twin(
        "one side of the product",
        "term|path|transpose",
        "jacobian",
        "The matrix is a product of the Jacobian with itself; one factor is held.",
    ),
    Twin(
        "damping",
        "ratio|factor|function",
        "damping",
        "The gradient is that of the square of the damping.",
    ),
    Twin(
        "locked joints",
        "mask|region|predicate",
        "jacobian",
        "The columns of locked joints, which are zeroed, have gradients.",
        witness=locked,
    ),
    fixed=(2,),
    narrow=False,
)
def damped_ik_step(slip):
    def solve(j, damping, b):
        matrix = j @ j.mT + damping**2 * jnp.eye(j.shape[-2], dtype=j.dtype)
        return jnp.linalg.solve(matrix, b[..., None])[..., 0]

    @jax.custom_vjp
    def step(jacobian, error, damping, free):
        j = jnp.where(free, jacobian, 0)
        return jnp.einsum("bmn,bm->bn", j, solve(j, damping, error))

    def fwd(jacobian, error, damping, free):
        value = step.fun(jacobian, error, damping, free)
        return value, (jacobian, error, damping, free)

    def bwd(res, g):
        jacobian, error, damping, free = res
        j = jnp.where(free, jacobian, 0)
        y = solve(j, damping, error)
        z = solve(j, damping, jnp.einsum("bmn,bn->bm", j, g))
        back = jnp.einsum("bmn,bm->bn", j, y)
        dj = jnp.einsum("bm,bn->bmn", y, g) - jnp.einsum("bm,bn->bmn", z, back)
        if slip != "one side of the product":
            other = jnp.einsum("bmn,bm->bn", j, z)
            dj = dj - jnp.einsum("bm,bn->bmn", y, other)
        if slip != "locked joints":
            dj = jnp.where(free, dj, 0)
        ddamping = -(z * y).sum()
        if slip != "damping":
            ddamping = 2 * damping * ddamping
        return dj, z, ddamping, None

    step.defvjp(fwd, bwd)
    return step, step.fun
