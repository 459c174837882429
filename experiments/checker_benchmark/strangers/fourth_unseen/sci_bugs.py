"""Bugs of rendering, circuits and simulators with their threads."""

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
    "PennyLaneAI/pennylane#4821",
    "quantum circuit",
    lambda rng: (normal(rng, 3), 1),
    Twin(
        "as reported",
        "index|elements|region|option",
        "angles",
        "A gate that is not trained is counted, so that gradients move on by one.",
    ),
    kind="bug",
    name="trainable_rotations pennylane#4821",
    narrow=False,
)
def trainable_rotations(slip):
    """Mean of ZZZ after RY gates, and constant gates (CZ) on two of the wires."""
    z = jnp.array([1, -1])
    signs = (z[:, None, None] * z[:, None] * z).reshape(-1)
    crossed = jnp.ones((2, 2, 2)).at[1, 1].set(-1).reshape(-1)

    def rotate(state, angle, wire):
        cos, sin = jnp.cos(angle / 2), jnp.sin(angle / 2)
        a, b = jnp.moveaxis(state.reshape(2, 2, 2), wire, 0)
        turned = jnp.stack([cos * a - sin * b, sin * a + cos * b])
        return jnp.moveaxis(turned, 0, wire).reshape(-1)

    def run(angles, constants):
        state = jnp.zeros(8, angles.dtype).at[0].set(1)
        for wire in range(3):
            state = rotate(state, angles[wire], wire)
        for _ in range(constants):
            state = state * crossed
        return state

    def plain(angles, constants):
        return (signs * run(angles, constants) ** 2).sum()

    mean = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(angles, constants):
        state = run(angles, constants)
        return (signs * state**2).sum(), (angles, state)

    def bwd(constants, res, g):
        angles, state = res
        projected = signs * state
        for _ in range(constants):
            state, projected = state * crossed, projected * crossed
        grads = jnp.zeros_like(angles)
        for wire in reversed(range(3)):
            state = rotate(state, -angles[wire], wire)
            slope = 0.5 * rotate(state, angles[wire] + jnp.pi, wire)
            number = wire + constants if slip else wire
            grads = grads.at[number].set(2 * g * projected @ slope, mode="drop")
            projected = rotate(projected, -angles[wire], wire)
        return (grads,)

    mean.defvjp(fwd, bwd)
    return mean, plain


@case(
    "dynamiqs/dynamiqs#51",
    "differential equation",
    lambda rng: (normal(rng, 2), jnp.float32(1.0), jnp.float32(2.0), 0.1, 8),
    Twin(
        "as reported",
        "index|residual|operand|sign|function",
        "amplitude frequency",
        "The time goes forwards as well while the adjoint goes back.",
    ),
    kind="bug",
    name="adjoint_times dynamiqs#51",
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def adjoint_times(slip):
    """Euler's steps of a damped rotation that is driven by a cosine."""

    def drive(amplitude, frequency, t):
        return amplitude * jnp.cos(frequency * t)

    def turn(y):
        return jnp.stack([y[1], -y[0]])

    def step(y, t, amplitude, frequency, dt):
        return y + dt * (drive(amplitude, frequency, t) * turn(y) - 0.1 * y)

    def states(start, amplitude, frequency, dt, steps):
        def one(y, k):
            return step(y, k * dt, amplitude, frequency, dt), y

        return lax.scan(one, start, jnp.arange(steps))

    def plain(start, amplitude, frequency, dt, steps):
        return states(start, amplitude, frequency, dt, steps)[0]

    solve = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(start, amplitude, frequency, dt, steps):
        last, before = states(start, amplitude, frequency, dt, steps)
        return last, (amplitude, frequency, before)

    def bwd(dt, steps, res, g):
        amplitude, frequency, before = res

        def back(carry, item):
            a, damplitude, dfrequency = carry
            y, k = item
            t = k * dt
            ddrive = dt * a @ turn(y)
            damplitude = damplitude + ddrive * jnp.cos(frequency * t)
            slope = -amplitude * t * jnp.sin(frequency * t)
            dfrequency = dfrequency + ddrive * slope
            force = drive(amplitude, frequency, t)
            a = a + dt * (-force * turn(a) - 0.1 * a)
            return (a, damplitude, dfrequency), None

        numbers = jnp.arange(steps)
        if slip:
            numbers = numbers[::-1]
        none = jnp.zeros_like(amplitude)
        items = (before, numbers)
        found, _ = lax.scan(back, (g, none, none), items, reverse=True)
        return found

    solve.defvjp(fwd, bwd)
    return solve, plain


def splats(background):
    def args(rng):
        alpha = positive(rng, 3, 5, low=0.05, high=0.9)
        return alpha, positive(rng, 5, 3, low=0, high=1), jnp.full(3, background)

    return args


@case(
    "graphdeco-inria/diff-gaussian-rasterization#86",
    "rendering",
    splats(0.0),
    Twin(
        "as reported",
        "term|path|ratio|factor",
        "alpha",
        "What is behind a splat has the background, which is subtracted once more.",
        witness=splats(1.0),
    ),
    kind="bug",
    name="background_colour diff-gaussian-rasterization#86",
    fixed=(0,),
    narrow=False,
)
def background_colour(slip):
    """Pixels of splats that are sorted, front to back, over a background."""

    def through(alpha):
        """What of the light is left before each splat, and at the end."""
        left = jnp.cumprod(1 - alpha, 1)
        return jnp.pad(left, ((0, 0), (1, 0)), constant_values=1)

    @jax.custom_vjp
    def render(alpha, colours, background):
        left = through(alpha)
        return (left[:, :-1] * alpha) @ colours + left[:, -1:] * background

    def fwd(alpha, colours, background):
        return render.fun(alpha, colours, background), (alpha, colours, background)

    def bwd(res, g):
        alpha, colours, background = res
        left = through(alpha)

        def behind(rest, item):
            a, colour = item
            return a[:, None] * colour + (1 - a[:, None]) * rest, rest

        last = jnp.broadcast_to(background, (len(alpha), 3))
        items = (alpha.T, colours)
        _, rests = lax.scan(behind, last, items, reverse=True)
        gaps = colours[:, None] - rests
        dalpha = left[:, :-1] * jnp.einsum("npc,pc->pn", gaps, g)
        if slip:
            over = left[:, -1:] / (1 - alpha)
            dalpha = dalpha - over * (g @ background)[:, None]
        dcolours = (left[:, :-1] * alpha).T @ g
        return dalpha, dcolours, left[:, -1] @ g

    render.defvjp(fwd, bwd)
    return render, render.fun


@case(
    "NVIDIA/warp#831",
    "elementwise",
    lambda rng: (jnp.float32(1.5), positive(rng, 3)),
    Twin(
        "as reported",
        "cotangent|function|affine|operand",
        "s a",
        "Of a number over a vector: written down as if for a vector over a number.",
    ),
    kind="bug",
    name="scalar_over_vector warp#831",
    options=lambda plain: {"edges": False},
)
def scalar_over_vector(slip):
    @jax.custom_vjp
    def divide(s, a):
        return s / a

    def fwd(s, a):
        return s / a, (s, a)

    def bwd(res, g):
        s, a = res
        if slip:
            return -(a @ g) / (s * s), s / g
        return (g / a).sum(), -g * s / (a * a)

    divide.defvjp(fwd, bwd)
    return divide, divide.fun


@case(
    "uxlfoundation/oneDNN#616",
    "log-softmax",
    draw(x=(4, 6)),
    Twin(
        "as reported",
        "operand|factor|function|term|sum|residual",
        "x",
        "The row's sum is of cotangents times outputs, and it is not shared out.",
    ),
    kind="bug",
    name="log_softmax oneDNN#616",
)
def log_softmax(slip):
    @jax.custom_vjp
    def normalise(x):
        shifted = x - lax.stop_gradient(x.max(-1, keepdims=True))
        return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))

    def fwd(x):
        y = normalise.fun(x)
        return y, y

    def bwd(y, g):
        if slip:
            return (g - (g * y).sum(-1, keepdims=True),)
        return (g - jnp.exp(y) * g.sum(-1, keepdims=True),)

    normalise.defvjp(fwd, bwd)
    return normalise, normalise.fun
