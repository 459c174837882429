"""Blocks of networks: rotations, retention, state-space kernels, gates."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def rotary_args(first):
    def args(rng):
        positions = jnp.broadcast_to(jnp.arange(first, first + 4), (2, 4))
        q, k = draw(q=(2, 4, 2, 6), k=(2, 4, 1, 6))(rng)
        return q, k, positions.astype(jnp.int32), 10000.0

    return args


@case(
    "rotary embeddings of neighbouring pairs: GPT-J in EasyDeL and flax models",
    "rotation",
    rotary_args(0),
    Twin(
        "rotated on",
        "sign|transpose|function",
        "q k",
        "The cotangents are rotated by the angles, not back by them.",
    ),
    Twin(
        "halves",
        "index|swap|transpose|region",
        "q k",
        "The two members of the pairs are put one after the other, not interleaved.",
    ),
    Twin(
        "positions from zero",
        "operand|index|option|residual",
        "q k",
        "The backward counts the positions from 0, whatever was given.",
        witness=rotary_args(3),
    ),
)
def rotary_interleaved_pairs(slip):
    def turn(x, positions, base, back=False):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        width = x.shape[-1]
        rate = base ** (-jnp.arange(0, width, 2, dtype=wide) / width)
        angle = positions[..., None, None].astype(wide) * rate
        cos, sin = jnp.cos(angle), jnp.sin(-angle if back else angle)
        a, b = x[..., ::2].astype(wide), x[..., 1::2].astype(wide)
        pair = [a * cos - b * sin, a * sin + b * cos]
        if back and slip == "halves":
            return jnp.concatenate(pair, -1).astype(x.dtype)
        return jnp.stack(pair, -1).reshape(x.shape).astype(x.dtype)

    def plain(q, k, positions, base):
        return turn(q, positions, base), turn(k, positions, base)

    rotate = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, positions, base):
        return plain(q, k, positions, base), positions

    def bwd(base, positions, g):
        if slip == "positions from zero":
            positions = jnp.arange(positions.shape[1])[None]
        back = slip != "rotated on"
        return *(turn(d, positions, base, back) for d in g), None

    rotate.defvjp(fwd, bwd)
    return rotate, plain


def retained(length):
    return lambda rng: (
        *draw(q=(2, length, 3), k=(2, length, 3), v=(2, length, 4))(rng),
        4,
    )


@case(
    "retention over chunks: RetNet in flax and flash-linear-attention",
    "linear attention in chunks",
    retained(8),
    Twin(
        "decay since the chunk's start",
        "index|factor|ratio",
        "q",
        "The query's part of the past chunks decays for one step too few.",
    ),
    Twin(
        "future state not decayed",
        "factor|term|path",
        "k v",
        "The cotangent of the state does not decay over a chunk.",
        witness=retained(12),
    ),
    Twin(
        "past for future",
        "transpose|mask|region",
        "k",
        "The keys' part within a chunk is not transposed.",
    ),
)
def chunked_retention(slip):
    def decays(heads, dtype):
        return 1 - 2.0 ** -(5 + jnp.arange(heads, dtype=dtype))

    def within(gamma, size):
        ago = jnp.arange(size)[:, None] - jnp.arange(size)
        power = gamma[:, None, None] ** jnp.maximum(ago, 0)
        return jnp.where(ago >= 0, power, 0)

    def plain(q, k, v, size):
        decay = within(decays(len(q), q.dtype), q.shape[1])
        return ((q @ k.mT) * decay) @ v

    def split(x, size):
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % size), (0, 0)))
        return jnp.moveaxis(x.reshape(len(x), -1, size, x.shape[-1]), 1, 0)

    def join(x, length):
        x = jnp.moveaxis(x, 0, 1)
        return x.reshape(len(x), -1, x.shape[-1])[:, :length]

    def run(q, k, v, size):
        gamma = decays(len(q), q.dtype)
        decay = within(gamma, size)
        since = gamma[:, None, None] ** (jnp.arange(size)[:, None] + 1)
        until = gamma[:, None, None] ** (size - 1 - jnp.arange(size)[:, None])

        def step(state, chunk):
            qc, kc, vc = chunk
            out = ((qc @ kc.mT) * decay) @ vc + since * (qc @ state)
            new = gamma[:, None, None] ** size * state + (until * kc).mT @ vc
            return new, (out, state)

        start = jnp.zeros((len(q), q.shape[-1], v.shape[-1]), q.dtype)
        _, (out, states) = lax.scan(step, start, [split(x, size) for x in (q, k, v)])
        return join(out, q.shape[1]), states

    def chunked(q, k, v, size):
        return run(q, k, v, size)[0]

    retain = jax.custom_vjp(chunked, nondiff_argnums=(3,))

    def fwd(q, k, v, size):
        out, states = run(q, k, v, size)
        return out, (q, k, v, states)

    def bwd(size, res, do):
        q, k, v, states = res
        gamma = decays(len(q), q.dtype)
        decay = within(gamma, size)
        early = 0 if slip == "decay since the chunk's start" else 1
        rows = jnp.arange(size)[:, None]
        since = gamma[:, None, None] ** (rows + 1)
        until = gamma[:, None, None] ** (size - 1 - rows)
        seen = gamma[:, None, None] ** (rows + early)

        def step(later, chunk):
            qc, kc, vc, dc, state = chunk
            ds = (dc @ vc.mT) * decay
            s = (qc @ kc.mT) * decay
            dq = ds @ kc + seen * (dc @ state.mT)
            back = ds if slip == "past for future" else ds.mT
            dk = back @ qc + until * (vc @ later.mT)
            dv = s.mT @ dc + until * (kc @ later)
            if slip != "future state not decayed":
                later = gamma[:, None, None] ** size * later
            return later + (since * qc).mT @ dc, (dq, dk, dv)

        chunks = [*(split(x, size) for x in (q, k, v, do)), states]
        start = jnp.zeros_like(states[0])
        _, grads = lax.scan(step, start, chunks, reverse=True)
        return tuple(join(d, q.shape[1]) for d in grads)

    retain.defvjp(fwd, bwd)
    return retain, plain


def kernel_args(rng):
    step = jnp.asarray(rng.uniform(jnp.log(0.02), jnp.log(0.2), 2), jnp.float32)
    im = jnp.broadcast_to(jnp.pi * jnp.arange(3, dtype=jnp.float32), (2, 3))
    log_re = jnp.full((2, 3), jnp.log(0.5))
    c = normal(rng, 2, 3, 2)
    return {"log_dt": step, "log_re": log_re, "im": im, "c": c}, 6


@case(
    "kernels of diagonal state spaces (S4D), zero-order hold",
    "state space",
    kernel_args,
    Twin(
        "conjugate",
        "sign",
        "params",
        "The gradient of the imaginary parts has the sign of the complex cotangent.",
    ),
    Twin(
        "step not integrated",
        "term|path",
        "params",
        "The input's weight (exp(dt A) - 1) / A is taken for a constant.",
    ),
    Twin(
        "times from one",
        "index|factor",
        "params",
        "The powers are multiplied by l + 1 where the exponent is l.",
    ),
    fixed=(0,),
    narrow=False,
)
def s4d_kernel(slip):
    def parts(params, length):
        dt = jnp.exp(params["log_dt"])[:, None]
        a = -jnp.exp(params["log_re"]) + 1j * params["im"]
        c = params["c"][..., 0] + 1j * params["c"][..., 1]
        powers = jnp.exp((dt * a)[..., None] * jnp.arange(length))
        return dt, a, c, powers

    def plain(params, length):
        dt, a, c, powers = parts(params, length)
        weight = 2 * c * jnp.expm1(dt * a) / a
        return jnp.einsum("hn,hnl->hl", weight, powers).real

    kernel = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(params, length):
        return plain(params, length), params

    def bwd(length, params, g):
        dt, a, c, powers = parts(params, length)
        times = jnp.arange(length) + (1 if slip == "times from one" else 0)
        total = jnp.einsum("hnl,hl->hn", powers, g)
        moment = jnp.einsum("hnl,hl,l->hn", powers, g, times.astype(g.dtype))
        weight = jnp.expm1(dt * a) / a
        dc = 2 * weight * total
        dz = 2 * c * weight * moment
        da = 0
        if slip != "step not integrated":
            dz = dz + 2 * c * jnp.exp(dt * a) / a * total
            da = -2 * c * weight / a * total
        da = da + dz * dt
        flip = 1 if slip == "conjugate" else -1
        grads = {
            "log_dt": (dz * a).real.sum(1) * dt[:, 0],
            "log_re": -da.real * jnp.exp(params["log_re"]),
            "im": flip * da.imag,
            "c": jnp.stack([dc.real, flip * dc.imag], -1),
        }
        return (grads,)

    kernel.defvjp(fwd, bwd)
    return kernel, plain


def excite_args(rng):
    params = {
        "down": {"w": 0.5 * normal(rng, 4, 2), "b": jnp.zeros(2)},
        "up": {"w": 0.5 * normal(rng, 2, 4), "b": jnp.zeros(4)},
    }
    return normal(rng, 2, 3, 3, 4), params


@case(
    "squeeze-and-excitation of EfficientNet in flax and timm ports",
    "gate",
    excite_args,
    Twin(
        "pooled path",
        "term|path",
        "x",
        "The gate is taken for a constant of x.",
    ),
    Twin(
        "size of the map",
        "ratio|factor",
        "x",
        "The mean's gradient is not divided by the number of pixels.",
    ),
    Twin(
        "mean over the map",
        "ratio|factor|sum",
        "x params",
        "The gate's cotangent is a mean over the pixels.",
    ),
)
def squeeze_excite(slip):
    def gate(x, params):
        pooled = x.mean((1, 2))
        z = pooled @ params["down"]["w"] + params["down"]["b"]
        h = jax.nn.silu(z)
        return pooled, z, jax.nn.sigmoid(h @ params["up"]["w"] + params["up"]["b"])

    @jax.custom_vjp
    def excite(x, params):
        return x * gate(x, params)[2][:, None, None]

    def fwd(x, params):
        pooled, z, scale = gate(x, params)
        return x * scale[:, None, None], (x, params, pooled, z, scale)

    def bwd(res, g):
        x, params, pooled, z, scale = res
        pixels = x.shape[1] * x.shape[2]
        dscale = (g * x).sum((1, 2))
        if slip == "mean over the map":
            dscale = dscale / pixels
        du = dscale * scale * (1 - scale)
        s = jax.nn.sigmoid(z)
        dz = du @ params["up"]["w"].T * s * (1 + z * (1 - s))
        dpooled = dz @ params["down"]["w"].T
        if slip != "size of the map":
            dpooled = dpooled / pixels
        dx = g * scale[:, None, None]
        if slip != "pooled path":
            dx = dx + dpooled[:, None, None]
        grads = {
            "down": {"w": pooled.T @ dz, "b": dz.sum(0)},
            "up": {"w": (z * s).T @ du, "b": du.sum(0)},
        }
        return dx, grads

    excite.defvjp(fwd, bwd)
    return excite, excite.fun
