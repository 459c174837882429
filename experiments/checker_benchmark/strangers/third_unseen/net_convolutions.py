"""Convolutions: sampled at learned places, and dilated with gates."""

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


def deformed(rng):
    mask = jax.nn.sigmoid(normal(rng, 6, 3))
    return normal(rng, 6, 2), 0.6 * normal(rng, 6, 3), mask, normal(rng, 3, 2, 3)


@case(
    "modulated deformable convolutions (DCNv2) over time, zeros outside",
    "convolution",
    deformed,
    Twin(
        "border",
        "mask|region|edge|predicate|index",
        "offset",
        "The slope at the border takes the last sample for the one outside.",
    ),
    Twin(
        "last tap",
        "duplicates|index|sum",
        "x",
        "Of the taps that read the same sample one writes its gradient.",
    ),
    Twin(
        "modulation",
        "factor|operand",
        "offset",
        "The offsets' gradient is not multiplied by the mask.",
    ),
    fixed=(1,),
    narrow=False,
)
def deformable_conv1d(slip):
    def places(x, offset):
        taps = offset.shape[1]
        base = jnp.arange(len(x))[:, None] + jnp.arange(taps) - taps // 2
        place = base + offset
        low = jnp.floor(place)
        return low.astype(jnp.int32), place - low

    def read(x, index):
        inside = (index >= 0) & (index < len(x))
        return jnp.where(inside[..., None], x[jnp.clip(index, 0, len(x) - 1)], 0)

    def columns(x, offset):
        low, share = places(x, offset)
        share = share[..., None]
        return (1 - share) * read(x, low) + share * read(x, low + 1)

    @jax.custom_vjp
    def conv(x, offset, mask, kernel):
        return jnp.einsum("tkc,tk,kco->to", columns(x, offset), mask, kernel)

    def fwd(x, offset, mask, kernel):
        return conv.fun(x, offset, mask, kernel), (x, offset, mask, kernel)

    def bwd(res, g):
        x, offset, mask, kernel = res
        low, share = places(x, offset)
        cols = columns(x, offset)
        dkernel = jnp.einsum("tkc,tk,to->kco", cols, mask, g)
        draw = jnp.einsum("to,kco->tkc", g, kernel)
        dmask = (draw * cols).sum(-1)
        dcols = draw * mask[..., None]
        slope = read(x, low + 1) - read(x, low)
        if slip == "border":
            ends = [jnp.clip(low + i, 0, len(x) - 1) for i in (0, 1)]
            slope = x[ends[1]] - x[ends[0]]
        doffset = ((draw if slip == "modulation" else dcols) * slope).sum(-1)
        dx = jnp.zeros((len(x) + 1, x.shape[1]), x.dtype)
        for index, weight in ((low, 1 - share), (low + 1, share)):
            inside = (index >= 0) & (index < len(x))
            part = jnp.where(inside, index, len(x))
            given = dcols * weight[..., None]
            last = slip == "last tap"
            dx = dx.at[part].set(given) if last else dx.at[part].add(given)
        return dx[:-1], doffset, dmask, dkernel

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


def wave_args(rng):
    params = {"w": 0.5 * normal(rng, 2, 3, 6), "b": jnp.zeros(6)}
    return normal(rng, 2, 7, 3), params, 2


@case(
    "WaveNet: dilated causal convolutions with gated activations, in haiku",
    "convolution with a gate",
    wave_args,
    Twin(
        "kernel not turned",
        "index|swap|transpose|operand",
        "x",
        "The taps keep their order when the cotangent is spread to the past.",
    ),
    Twin(
        "dilation of the kernel",
        "index|option|operand|region",
        "params",
        "The kernel's gradient pairs neighbours, not samples a dilation apart.",
    ),
    Twin(
        "gate's tanh",
        "factor|operand|term",
        "x params",
        "The gate's cotangent is not multiplied by the filter's output.",
    ),
)
def dilated_causal_conv(slip):
    def earlier(x, steps):
        return jnp.pad(x, ((0, 0), (steps, 0), (0, 0)))[:, : x.shape[1]]

    def later(x, steps):
        return jnp.pad(x, ((0, 0), (0, steps), (0, 0)))[:, steps:]

    def linear(x, params, dilation):
        taps = len(params["w"])
        parts = [
            earlier(x, (taps - 1 - i) * dilation) @ params["w"][i] for i in range(taps)
        ]
        return sum(parts) + params["b"]

    def plain(x, params, dilation):
        f, z = jnp.split(linear(x, params, dilation), 2, -1)
        return jnp.tanh(f) * jax.nn.sigmoid(z)

    conv = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, params, dilation):
        f, z = jnp.split(linear(x, params, dilation), 2, -1)
        f, s = jnp.tanh(f), jax.nn.sigmoid(z)
        return f * s, (x, params["w"], f, s)

    def bwd(dilation, res, g):
        x, w, f, s = res
        taps = len(w)
        seen = 1 if slip == "gate's tanh" else f
        dz = g * seen * s * (1 - s)
        d = jnp.concatenate([g * s * (1 - f * f), dz], -1)
        order = w[::-1] if slip == "kernel not turned" else w
        dx = [later(d, (taps - 1 - i) * dilation) @ order[i].T for i in range(taps)]
        gap = 1 if slip == "dilation of the kernel" else dilation
        dw = [
            jnp.einsum("btc,bto->co", earlier(x, (taps - 1 - i) * gap), d)
            for i in range(taps)
        ]
        return sum(dx), {"w": jnp.stack(dw), "b": d.sum((0, 1))}

    conv.defvjp(fwd, bwd)
    return conv, plain
