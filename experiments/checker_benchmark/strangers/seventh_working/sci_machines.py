"""Arms, meshes, rays and particles on grids."""

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


@case(
    "rotations from yaw, pitch and roll in jaxlie, kornia",
    "rotation",
    draw(angles=(4, 3)),
    Twin(
        "transposed",
        "transpose",
        "angles",
        "The cotangent is read as that of the inverse rotation.",
    ),
    Twin(
        "sign of the pitch",
        "sign|term",
        "angles",
        "The lower left entry's derivative has the sign of the sine.",
    ),
    fixed=(0,),
)
def euler_zyx_matrix(slip):
    def about(axis, angle):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        c, s = jnp.cos(angle), jnp.sin(angle)
        turn = jnp.zeros((*angle.shape, 3, 3), angle.dtype).at[..., axis, axis].set(1)
        turn = turn.at[..., i, i].set(c).at[..., j, j].set(c)
        return turn.at[..., j, i].set(s).at[..., i, j].set(-s)

    def plain(angles):
        yaw, pitch, roll = jnp.moveaxis(angles, -1, 0)
        return about(2, yaw) @ about(1, pitch) @ about(0, roll)

    matrix = jax.custom_vjp(plain)

    def bwd(angles, g):
        if slip == "transposed":
            g = jnp.swapaxes(g, -1, -2)
        yaw, pitch, roll = jnp.moveaxis(angles, -1, 0)
        r = plain(angles)
        sy, cy, sp, cp = jnp.sin(yaw), jnp.cos(yaw), jnp.sin(pitch), jnp.cos(pitch)
        sr, cr = jnp.sin(roll), jnp.cos(roll)
        dyaw = (-g[..., 0, :] * r[..., 1, :] + g[..., 1, :] * r[..., 0, :]).sum(-1)
        droll = (g[..., :, 1] * r[..., :, 2] - g[..., :, 2] * r[..., :, 1]).sum(-1)
        last = cp if slip == "sign of the pitch" else -cp
        dr = [
            [-cy * sp, cy * cp * sr, cy * cp * cr],
            [-sy * sp, sy * cp * sr, sy * cp * cr],
            [last, -sp * sr, -sp * cr],
        ]
        dpitch = sum(g[..., i, j] * dr[i][j] for i in range(3) for j in range(3))
        return (jnp.stack([dyaw, dpitch, droll], -1),)

    matrix.defvjp(lambda angles: (plain(angles), angles), bwd)
    return matrix, plain


def joints(rng):
    state = {"angle": normal(rng, 6), "speed": normal(rng, 6)}
    gains = (positive(rng, 6, high=4.0), positive(rng, 6, low=0.1, high=0.6))
    return state, normal(rng, 6, std=1.5), gains, positive(rng, 6, low=1.0, high=3.0)


@case(
    "PD control with limits of torque in brax, mjx environments",
    "control",
    joints,
    Twin(
        "saturated joints",
        "mask|region|predicate",
        "state target gains",
        "Joints at their limit pass the gradient on.",
    ),
    Twin(
        "limits learn nothing",
        "zero|term|path",
        "limits",
        "At the limit the torque is the limit: its gradient is zero.",
    ),
    Twin(
        "sign of the lower limit",
        "sign|ratio",
        "limits",
        "At the lower limit the torque is minus the limit.",
    ),
)
def pd_torque_control(slip):
    def wanted(state, target, gains):
        error = target - state["angle"]
        return error, gains[0] * error - gains[1] * state["speed"]

    @jax.custom_vjp
    def torque(state, target, gains, limits):
        _, free = wanted(state, target, gains)
        return jnp.where(
            free > limits, limits, jnp.where(free < -limits, -limits, free)
        )

    plain = torque.fun

    def fwd(state, target, gains, limits):
        error, free = wanted(state, target, gains)
        side = (free > limits).astype(jnp.int8) - (free < -limits).astype(jnp.int8)
        return plain(state, target, gains, limits), (state, gains, error, side)

    def bwd(res, g):
        state, (kp, kd), error, side = res
        dlimits = jnp.where(side == 0, 0, g * side.astype(g.dtype))
        if slip == "sign of the lower limit":
            dlimits = jnp.where(side == 0, 0, g)
        if slip == "limits learn nothing":
            dlimits = jnp.zeros_like(g)
        free = g if slip == "saturated joints" else jnp.where(side == 0, g, 0)
        dstate = {"angle": -kp * free, "speed": -kd * free}
        return dstate, kp * free, (error * free, -state["speed"] * free), dlimits

    torque.defvjp(fwd, bwd)
    return torque, plain


def arm(rng):
    names = ("a", "alpha", "d")
    return normal(rng, 4), {n: normal(rng, 4) for n in names}


@case(
    "Denavit-Hartenberg chains in robotics toolboxes on JAX",
    "kinematic chain",
    arm,
    Twin(
        "last link only",
        "term|path|index",
        "angles links",
        "The cotangent isn't carried back to the frames before.",
    ),
    Twin(
        "frame after the link",
        "index|residual|operand",
        "angles links",
        "A link's matrix gets its cotangent from the frame after it.",
    ),
    fixed=(0,),
    narrow=False,
)
def dh_forward_kinematics(slip):
    def link(angle, a, alpha, d):
        c, s, ca, sa = jnp.cos(angle), jnp.sin(angle), jnp.cos(alpha), jnp.sin(alpha)
        nil, one = jnp.zeros_like(c), jnp.ones_like(c)
        rows = (
            (c, -s * ca, s * sa, a * c),
            (s, c * ca, -c * sa, a * s),
            (nil, sa, ca, d),
            (nil, nil, nil, one),
        )
        return jnp.stack([jnp.stack(row) for row in rows])

    def frames(angles, links):
        def add(frame, given):
            after = frame @ link(*given)
            return after, (frame, after)

        order = (angles, links["a"], links["alpha"], links["d"])
        return lax.scan(add, jnp.eye(4, dtype=angles.dtype), order)

    def plain(angles, links):
        return frames(angles, links)[1][1]

    chain = jax.custom_vjp(plain)

    def fwd(angles, links):
        before, after = frames(angles, links)[1]
        kept = after if slip == "frame after the link" else before
        return after, (angles, links, kept)

    def bwd(res, g):
        angles, links, before = res

        def back(carried, given):
            gi, frame, q, a, alpha, d = given
            total = gi + carried
            local = frame.T @ total
            c, s, ca, sa = jnp.cos(q), jnp.sin(q), jnp.cos(alpha), jnp.sin(alpha)
            m = link(q, a, alpha, d)
            dq = (local[1] * m[0] - local[0] * m[1]).sum()
            da = local[0, 3] * c + local[1, 3] * s
            turned = s * (local[0, 1] * sa + local[0, 2] * ca)
            turned = turned - c * (local[1, 1] * sa + local[1, 2] * ca)
            dalpha = turned + local[2, 1] * ca - local[2, 2] * sa
            carried = total @ m.T
            if slip == "last link only":
                carried = jnp.zeros_like(carried)
            return carried, (dq, da, dalpha, local[2, 3])

        order = (g, before, angles, links["a"], links["alpha"], links["d"])
        _, grads = lax.scan(back, jnp.zeros_like(g[0]), order, reverse=True)
        return grads[0], dict(zip(("a", "alpha", "d"), grads[1:], strict=True))

    chain.defvjp(fwd, bwd)
    return chain, plain


def rays(rng):
    origin = normal(rng, 7, 3) - jnp.asarray([0, 0, 6.0], jnp.float32)
    way = jnp.asarray([0, 0, 1.0], jnp.float32) + normal(rng, 7, 3, std=0.1)
    centre = normal(rng, 3, std=0.2)
    return origin, way, centre, jnp.asarray(1.4, jnp.float32), 50.0


@case(
    "rays that hit or miss a sphere in jaxtracing, mitsuba ports",
    "intersection of rays",
    rays,
    Twin(
        "misses",
        "mask|region|predicate",
        "origin way centre radius",
        "Rays that miss the sphere have a gradient.",
    ),
    Twin(
        "length of the way",
        "term|path",
        "way",
        "The way's own length is taken to be constant in the root.",
    ),
    fixed=(0, 1, 2, 3),
    narrow=False,
)
def ray_sphere_hit(slip):
    def roots(origin, way, centre, radius):
        m = origin - centre
        a, b = (way * way).sum(-1), (m * way).sum(-1)
        under = b * b - a * ((m * m).sum(-1) - radius**2)
        hit = under > 0
        root = jnp.sqrt(jnp.where(hit, under, 1))
        return m, a, hit, root, (-b - root) / a

    def plain(origin, way, centre, radius, far):
        _, _, hit, _, t = roots(origin, way, centre, radius)
        return jnp.where(hit, t, far)

    trace = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(origin, way, centre, radius, far):
        value = plain(origin, way, centre, radius, far)
        return value, (origin, way, centre, radius)

    def bwd(far, res, g):
        origin, way, centre, radius = res
        m, _, hit, root, t = roots(origin, way, centre, radius)
        if slip != "misses":
            g = jnp.where(hit, g, 0)
        # (m + t way)^2 = radius^2 at the hit, whose derivative by t is -2 root
        share = (g / root)[:, None]
        spot = m + t[:, None] * way
        dorigin = share * spot
        dway = share * (m if slip == "length of the way" else spot) * t[:, None]
        return dorigin, dway, -dorigin.sum(0), -(radius * share).sum()

    trace.defvjp(fwd, bwd)
    return trace, plain
