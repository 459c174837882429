"""Bugs of convolutions and of norms in kernels, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
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
    "ml-explore/mlx#3800",
    "convolution",
    lambda rng: (normal(rng, 8, 4), normal(rng, 3, 2, 4), 2, 2),
    Twin(
        "as reported",
        "index|path|function|operand|sum|term|zero|region",
        "x",
        "With groups and a stride the kernel for one group serves all.",
    ),
    kind="bug",
    name="grouped_strided_conv mlx#3800",
)
def grouped_strided_conv(slip):
    def plain(x, kernel, groups, stride):
        W, T = len(kernel), len(x)
        padded = jnp.pad(x, ((1, W - 2), (0, 0))).reshape(T + W - 1, groups, -1)
        taps = [padded[i : i + T : stride] for i in range(W)]
        k = kernel.reshape(W, kernel.shape[1], groups, -1)
        y = sum(jnp.einsum("tgi,igo->tgo", taps[i], k[i]) for i in range(W))
        return y.reshape(len(y), -1)

    conv = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, kernel, groups, stride):
        return plain(x, kernel, groups, stride), (x, kernel)

    def bwd(groups, stride, res, g):
        x, kernel = res
        W, T = len(kernel), len(x)
        gg = g.reshape(len(g), groups, -1)
        dense = jnp.zeros((T, *gg.shape[1:]), g.dtype).at[::stride].set(gg)
        k = kernel.reshape(W, kernel.shape[1], groups, -1)
        if slip and groups > 1 and stride > 1:
            k = jnp.broadcast_to(k[:, :, :1], k.shape)
        ahead = jnp.pad(dense, ((W - 2, 1), (0, 0), (0, 0)))
        dx = sum(
            jnp.einsum("tgo,igo->tgi", ahead[W - 1 - i : W - 1 - i + T], k[i])
            for i in range(W)
        )
        padded = jnp.pad(x, ((1, W - 2), (0, 0))).reshape(T + W - 1, groups, -1)
        taps = [padded[i : i + T] for i in range(W)]
        dk = jnp.stack([jnp.einsum("tgi,tgo->igo", t, dense) for t in taps])
        return dx.reshape(x.shape), dk.reshape(kernel.shape)

    conv.defvjp(fwd, bwd)
    return conv, plain


@case(
    "iree-org/iree-turbine#1223",
    "convolution",
    lambda rng: (normal(rng, 9), normal(rng, 3), 1, 1),
    Twin(
        "as reported",
        "option|index|swap|function|operand",
        "kernel",
        "Stride and dilation are exchanged in the kernel's gradient.",
        witness=lambda rng: (normal(rng, 9), normal(rng, 3), 2, 1),
    ),
    kind="bug",
    name="strided_dilated_conv iree-turbine#1223",
)
def strided_dilated_conv(slip):
    def places(n, W, stride, dilation):
        count = (n - 1 - (W - 1) * dilation) // stride + 1
        return np.arange(count)[:, None] * stride + np.arange(W) * dilation

    def plain(x, kernel, stride, dilation):
        return x[places(len(x), len(kernel), stride, dilation)] @ kernel

    conv = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, kernel, stride, dilation):
        return plain(x, kernel, stride, dilation), (x, kernel)

    def bwd(stride, dilation, res, g):
        x, kernel = res
        at = places(len(x), len(kernel), stride, dilation)
        dx = jnp.zeros_like(x).at[at].add(g[:, None] * kernel)
        if slip:
            at = np.arange(len(g))[:, None] * dilation + np.arange(len(kernel)) * stride
        return dx, (x[np.minimum(at, len(x) - 1)] * g[:, None]).sum(0)

    conv.defvjp(fwd, bwd)
    return conv, plain


@case(
    "fla-org/flash-linear-attention#1140",
    "convolution with a state",
    draw(x=(6, 2), weight=(4, 2), state=(3, 2)),
    Twin(
        "as reported",
        "index|region|edge|path|mask",
        "x state",
        "A sequence shorter than the state: its cotangent is put elsewhere.",
        witness=draw(x=(2, 2), weight=(4, 2), state=(3, 2)),
    ),
    kind="bug",
    name="short_conv_state flash-linear-attention#1140",
)
def short_conv_state(slip):
    @jax.custom_vjp
    def conv(x, weight, state):
        whole = jnp.concatenate([state, x])
        W, T = len(weight), len(x)
        y = sum(weight[i] * whole[i : i + T] for i in range(W))
        return y, whole[T:]

    def fwd(x, weight, state):
        return conv.fun(x, weight, state), (x, weight, state)

    def bwd(res, g):
        x, weight, state = res
        dy, dlast = g
        W, T = len(weight), len(x)
        whole = jnp.concatenate([state, x])
        dwhole = jnp.zeros_like(whole)
        for i in range(W):
            dwhole = dwhole.at[i : i + T].add(weight[i] * dy)
        if slip:
            kept = min(T, W - 1)
            first = max(0, T - (W - 1))
            dwhole = dwhole.at[W - 1 + first :].add(dlast[:kept])
        else:
            dwhole = dwhole.at[T:].add(dlast)
        dw = jnp.stack([(whole[i : i + T] * dy).sum(0) for i in range(W)])
        return dwhole[W - 1 :], dw, dwhole[: W - 1]

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


@case(
    "fla-org/flash-linear-attention#568",
    "convolution with a state",
    draw(x=(5, 2), weight=(3, 2), state=(2, 2)),
    Twin(
        "as reported",
        "path|term|region|index|operand",
        "weight",
        "The initial state's share of the weight's gradient is missing.",
    ),
    kind="bug",
    name="conv_initial_state flash-linear-attention#568",
)
def conv_initial_state(slip):
    @jax.custom_vjp
    def conv(x, weight, state):
        whole = jnp.concatenate([state, x])
        return sum(weight[i] * whole[i : i + len(x)] for i in range(len(weight)))

    def fwd(x, weight, state):
        return conv.fun(x, weight, state), (x, weight, state)

    def bwd(res, g):
        x, weight, state = res
        W, T = len(weight), len(x)
        whole = jnp.concatenate([state, x])
        dwhole = jnp.zeros_like(whole)
        for i in range(W):
            dwhole = dwhole.at[i : i + T].add(weight[i] * g)
        if slip:
            whole = jnp.concatenate([jnp.zeros_like(state), x])
        dw = jnp.stack([(whole[i : i + T] * g).sum(0) for i in range(W)])
        return dwhole[W - 1 :], dw, dwhole[: W - 1]

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


@case(
    "state-spaces/mamba#1023",
    "normalisation with two inputs",
    lambda rng: (
        normal(rng, 3, 4),
        normal(rng, 3, 4),
        jnp.ones((2, 3)),
        positive(rng, 4),
    ),
    Twin(
        "as reported",
        "factor|operand",
        "x1",
        "The second half of the row scales is not applied to its input.",
        witness=lambda rng: (
            normal(rng, 3, 4),
            normal(rng, 3, 4),
            positive(rng, 2, 3),
            positive(rng, 4),
        ),
    ),
    kind="bug",
    name="two_part_layernorm mamba#1023",
    options=lambda plain: {"nondiff": ("rowscale",)},
    fixed=(2, 3),
)
def two_part_layernorm(slip):
    def standard(h):
        centred = h - h.mean(-1, keepdims=True)
        rstd = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * rstd, rstd

    def plain(x, x1, rowscale, gain):
        s = lax.stop_gradient(rowscale)[..., None]
        return standard(s[0] * x + s[1] * x1)[0] * gain

    @jax.custom_vjp
    def norm(x, x1, rowscale, gain):
        return plain(x, x1, rowscale, gain)

    def fwd(x, x1, rowscale, gain):
        s = rowscale[..., None]
        z, rstd = standard(s[0] * x + s[1] * x1)
        return z * gain, (z, rstd, s, gain)

    def bwd(res, dy):
        z, rstd, s, gain = res
        dz = dy * gain
        mean = dz.mean(-1, keepdims=True) + z * (dz * z).mean(-1, keepdims=True)
        dh = rstd * (dz - mean)
        return s[0] * dh, dh if slip else s[1] * dh, None, (dy * z).sum(0)

    norm.defvjp(fwd, bwd)
    return norm, plain
