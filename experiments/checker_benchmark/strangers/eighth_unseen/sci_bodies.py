"""Frames of sound, moving robots and their costs."""

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


def drive(rng):
    return normal(rng, 3), normal(rng, 6), normal(rng, 6, std=0.7), 0.2


@case(
    "odometry of differential drives in jaxfg-like planners",
    "kinematics",
    drive,
    Twin(
        "half turn",
        "factor|ratio",
        "turn",
        "The heading in the middle of a step has half of the turn, not the whole.",
    ),
    Twin(
        "heading later",
        "term|sum|path",
        "pose turn",
        "The heading's gradient of later steps is not carried back.",
    ),
    Twin(
        "sine and cosine",
        "swap|function|operand",
        "speed",
        "The speed's gradient has the sine where the cosine belongs.",
    ),
    narrow=False,
)
def unicycle_odometry(slip):
    def roll(pose, speed, turn, dt):
        def step(pose, control):
            v, w = control
            middle = pose[2] + 0.5 * dt * w
            move = jnp.stack([v * jnp.cos(middle), v * jnp.sin(middle), w])
            pose = pose + dt * move
            return pose, (pose, middle)

        return lax.scan(step, pose, (speed, turn))[1]

    def plain(pose, speed, turn, dt):
        return roll(pose, speed, turn, dt)[0]

    odometry = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(pose, speed, turn, dt):
        poses, middle = roll(pose, speed, turn, dt)
        return poses, (middle, speed)

    def bwd(dt, res, g):
        half = 1.0 if slip == "half turn" else 0.5

        def step(a, now):
            middle, v, g = now
            a = a + g
            c, s = jnp.cos(middle), jnp.sin(middle)
            if slip == "sine and cosine":
                dv = dt * (a[0] * s + a[1] * c)
            else:
                dv = dt * (a[0] * c + a[1] * s)
            dmiddle = dt * v * (a[1] * c - a[0] * s)
            dturn = dt * a[2] + half * dt * dmiddle
            if slip == "heading later":
                return a, (dv, dturn)
            return a.at[2].add(dmiddle), (dv, dturn)

        start = jnp.zeros_like(g[0])
        a, (dv, dw) = lax.scan(step, start, (*res, g), reverse=True)
        return a, dv, dw

    odometry.defvjp(fwd, bwd)
    return odometry, plain


def inertial(rng):
    names = {"gyro": (6, 2), "tilt": (6, 2)}
    data = {k: normal(rng, *v) for k, v in names.items()}
    return data, normal(rng, 2), jnp.float32(0.8), 0.1


@case(
    "complementary filters of attitude in ahrs",
    "recurrence",
    inertial,
    Twin(
        "without the gyroscope",
        "term|operand",
        "share",
        "The share multiplies the predicted angle; its gradient has the last one.",
    ),
    Twin(
        "share of the tilt",
        "swap|factor|operand",
        "data",
        "The measured tilt gets the share of the prediction.",
    ),
    Twin(
        "time step",
        "factor|ratio",
        "data",
        "The rates' gradient is not multiplied by the time step.",
    ),
    fixed=(2,),
    narrow=False,
)
def complementary_filter(slip):
    def run(data, start, share, dt):
        def step(angle, now):
            rate, tilt = now
            guess = angle + dt * rate
            new = share * guess + (1 - share) * tilt
            saved = angle if slip == "without the gyroscope" else guess
            return new, (new, saved)

        return lax.scan(step, start, (data["gyro"], data["tilt"]))[1]

    def plain(data, start, share, dt):
        return run(data, start, share, dt)[0]

    fuse = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(data, start, share, dt):
        angles, guesses = run(data, start, share, dt)
        return angles, (guesses, data["tilt"], share)

    def bwd(dt, res, g):
        guesses, tilt, share = res

        def step(a, g):
            a = a + g
            return share * a, a

        dstart, a = lax.scan(step, jnp.zeros_like(g[0]), g, reverse=True)
        dshare = (a * (guesses - tilt)).sum()
        other = share if slip == "share of the tilt" else 1 - share
        dgyro = share * a if slip == "time step" else dt * share * a
        return {"gyro": dgyro, "tilt": other * a}, dstart, dshare

    fuse.defvjp(fwd, bwd)
    return fuse, plain


def motion(rng):
    return normal(rng, 7, 2, std=0.5), positive(rng, 2, low=1.0, high=3.0), 0.2, 0.5


@case(
    "smoothness and velocity limits in curobo and pyroki",
    "cost of trajectories",
    motion,
    Twin(
        "middle point",
        "factor|ratio",
        "path",
        "The second difference takes the middle point twice; its gradient has it once.",
    ),
    Twin(
        "direction",
        "sign",
        "path",
        "The sign of the velocity that is too large is left out.",
    ),
    Twin(
        "weight of the limits",
        "factor|ratio|option",
        "limit",
        "The weight of the limits is missing in the gradient of the limit.",
    ),
    narrow=False,
)
def trajectory_smoothness(slip):
    def parts(path, limit, dt):
        velocity = (path[1:] - path[:-1]) / dt
        acceleration = (path[2:] - 2 * path[1:-1] + path[:-2]) / dt**2
        return velocity, acceleration, jax.nn.relu(jnp.abs(velocity) - limit)

    def plain(path, limit, dt, weight):
        _, acceleration, over = parts(path, limit, dt)
        return dt * (acceleration**2).sum() + weight * (over**2).sum()

    cost = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(path, limit, dt, weight):
        return plain(path, limit, dt, weight), (path, limit)

    def bwd(dt, weight, res, g):
        path, limit = res
        velocity, acceleration, over = parts(path, limit, dt)
        da = 2 * g * acceleration / dt
        dover = 2 * g * weight * over
        dv = dover / dt
        if slip != "direction":
            dv = dv * jnp.sign(velocity)
        middle = 1 if slip == "middle point" else 2
        dpath = jnp.zeros_like(path).at[2:].add(da).at[1:-1].add(-middle * da)
        dpath = dpath.at[:-2].add(da).at[1:].add(dv).at[:-1].add(-dv)
        dlimit = -dover.sum(0)
        if slip == "weight of the limits":
            dlimit = dlimit / weight
        return dpath, dlimit

    cost.defvjp(fwd, bwd)
    return cost, plain


def obstacles(rng):
    return normal(rng, 5, 2), normal(rng, 3, 2), positive(rng, 3, high=1.0), 0.6


@case(
    "obstacle costs of CHOMP in gpmp2 and torch_robotics",
    "cost of trajectories",
    obstacles,
    Twin(
        "inside",
        "mask|region|edge|predicate",
        "points centres radii",
        "Inside of an obstacle the gradient is that of the parabola outside.",
    ),
    Twin(
        "radius sign",
        "sign|ratio",
        "radii",
        "The radius is subtracted from the distance, its gradient has that sign not.",
    ),
    Twin(
        "points averaged",
        "sum|ratio|factor",
        "centres",
        "An obstacle gets the mean over the points, not the sum.",
    ),
)
def obstacle_hinge_cost(slip):
    def distances(points, centres, radii):
        off = points[:, None] - centres
        length = jnp.sqrt((off * off).sum(-1) + 1e-8)
        return off / length[..., None], length - radii

    def plain(points, centres, radii, margin):
        _, d = distances(points, centres, radii)
        near = 0.5 * jnp.where(d < margin, margin - d, 0) ** 2 / margin
        return jnp.where(d < 0, 0.5 * margin - d, near).sum(1)

    cost = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(points, centres, radii, margin):
        value = plain(points, centres, radii, margin)
        return value, distances(points, centres, radii)

    def bwd(margin, res, g):
        unit, d = res
        slope = jnp.where(d < margin, (d - margin) / margin, 0)
        if slip != "inside":
            slope = jnp.where(d < 0, -1, slope)
        dd = g[:, None] * slope
        pull = dd[..., None] * unit
        dcentres = -pull.mean(0) if slip == "points averaged" else -pull.sum(0)
        dradii = dd.sum(0) if slip == "radius sign" else -dd.sum(0)
        return pull.sum(1), dcentres, dradii

    cost.defvjp(fwd, bwd)
    return cost, plain
