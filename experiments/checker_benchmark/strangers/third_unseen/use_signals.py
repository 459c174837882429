"""Heat maps, complex states, recursive filters."""

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


@case(
    "integral regression of key points from heat maps in flax",
    "expected coordinates",
    lambda rng: (normal(rng, 2, 4, 4), 1.0),
    Twin(
        "axes",
        "swap|transpose|axis|index",
        "maps",
        "Rows meet the cotangent of the columns' coordinate.",
    ),
    Twin("expectation", "term|path", "maps", "The normaliser is held fixed."),
    Twin(
        "sharpness",
        "option|ratio|factor|constant",
        "maps",
        "The factor before the softmax, 1 at first, is missing.",
        witness=lambda rng: (normal(rng, 2, 4, 5), 3.0),
    ),
)
def soft_argmax_2d(slip):
    def weights(maps, sharpness):
        flat = sharpness * maps.reshape(len(maps), -1)
        return jax.nn.softmax(flat).reshape(maps.shape)

    def grids(maps):
        _, rows, columns = maps.shape
        y = jnp.arange(rows, dtype=maps.dtype)[:, None]
        return jnp.arange(columns, dtype=maps.dtype)[None], y

    def expected(p):
        x, y = grids(p)
        return jnp.stack([(p * x).sum((1, 2)), (p * y).sum((1, 2))], 1)

    def plain(maps, sharpness):
        return expected(weights(maps, sharpness))

    argmax = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(maps, sharpness):
        p = weights(maps, sharpness)
        return expected(p), p

    def bwd(sharpness, p, g):
        x, y = grids(p)
        dx, dy = g[:, 0, None, None], g[:, 1, None, None]
        if slip == "axes":
            dx, dy = dy, dx
        scores = dx * x + dy * y
        if slip != "expectation":
            scores = scores - (p * scores).sum((1, 2), keepdims=True)
        return (scores * p * (1 if slip == "sharpness" else sharpness),)

    argmax.defvjp(fwd, bwd)
    return argmax, plain


def complex_states(biased):
    def args(rng):
        z = lax.complex(normal(rng, 4, 3), normal(rng, 4, 3))
        return z, normal(rng, 3) if biased else jnp.zeros(3, jnp.float32)

    return args


@case(
    "modReLU of unitary recurrent networks, with complex states",
    "complex activation",
    complex_states(False),
    Twin(
        "conjugate",
        "transpose|function|operand|residual|term|region|cotangent",
        "z",
        "The direction's own part is paired as if cotangents were conjugated.",
        witness=complex_states(True),
    ),
    Twin(
        "modulus",
        "term|path|function",
        "z",
        "The modulus in the factor is held fixed.",
        witness=complex_states(True),
    ),
    Twin(
        "bias of the silent",
        "mask|region|predicate",
        "b",
        "The bias has a gradient where the output is 0.",
        witness=complex_states(True),
    ),
)
def mod_relu(slip):
    def polar(z, b):
        r = jnp.abs(z)
        return r + b, jnp.where(r > 0, r, 1), (r + b > 0) & (r > 0)

    @jax.custom_vjp
    def activation(z, b):
        length, r, active = polar(z, b)
        return jnp.where(active, length / r, 0) * z

    def fwd(z, b):
        return activation.fun(z, b), (z, b)

    def bwd(res, g):
        z, b = res
        length, r, active = polar(z, b)
        u = z / r
        along = jnp.real(g * (jnp.conj(u) if slip == "conjugate" else u))
        dz = jnp.where(active, length / r, 0) * g
        if slip != "modulus":
            back = u if slip == "conjugate" else jnp.conj(u)
            dz = dz - jnp.where(active, b / r * along, 0) * back
        if slip != "bias of the silent":
            along = jnp.where(active, along, 0)
        return dz, along.sum(0)

    activation.defvjp(fwd, bwd)
    return activation, activation.fun


def signal(rng):
    b, a = jnp.array([0.2, 0.4, 0.2]), jnp.array([-0.5, 0.25])
    return normal(rng, 6, 2), b.astype(jnp.float32), a.astype(jnp.float32)


@case(
    "second-order filters of differentiable audio, scanned over samples",
    "recursive filter",
    signal,
    Twin("feedback's sign", "sign", "a", "The feedback is taken away, not added."),
    Twin(
        "input for output",
        "operand|residual|swap",
        "a",
        "The feedback's gradient has the filter's input in it.",
    ),
    Twin(
        "first to last",
        "index|axis|transpose|function|path|operand|residual",
        "x b a",
        "The adjoint runs in the direction of time.",
    ),
    narrow=False,
)
def biquad_filter(slip):
    @jax.custom_vjp
    def biquad(x, b, a):
        def step(carry, x0):
            x1, x2, y1, y2 = carry
            y0 = b[0] * x0 + b[1] * x1 + b[2] * x2 - a[0] * y1 - a[1] * y2
            return (x0, x1, y0, y1), y0

        return lax.scan(step, (jnp.zeros_like(x[0]),) * 4, x)[1]

    def fwd(x, b, a):
        y = biquad.fun(x, b, a)
        return y, (x, b, a, y)

    def later(v, by):
        return jnp.concatenate([v[by:], jnp.zeros_like(v[:by])])

    def bwd(res, g):
        x, b, a, y = res

        def step(carry, dy):
            v1, v2 = carry
            v0 = dy - a[0] * v1 - a[1] * v2
            return (v0, v1), v0

        none, back = (jnp.zeros_like(g[0]),) * 2, slip != "first to last"
        v = lax.scan(step, none, g, reverse=back)[1]
        after = [v, later(v, 1), later(v, 2)]
        dx = sum(factor * part for factor, part in zip(b, after, strict=True))
        db = jnp.stack([(part * x).sum() for part in after])
        held = x if slip == "input for output" else y
        da = jnp.stack([(part * held).sum() for part in after[1:]])
        return dx, db, da if slip == "feedback's sign" else -da

    biquad.defvjp(fwd, bwd)
    return biquad, biquad.fun
