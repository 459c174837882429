"""More bugs with their threads: slices of channels, squares of complex numbers."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "ooples/AiDotNet.Tensors#935",
    "upsampling",
    draw(flow=(5, 2), logits=(5, 4, 3)),
    Twin(
        "as reported",
        "index|residual|operand|elements|swap|term",
        "flow",
        "What is recorded of a slice is changed by the loop: all are the last channel.",
    ),
    kind="bug",
    name="channel_slices AiDotNet.Tensors#935",
)
def channel_slices(slip):
    """RAFT's convex upsampling along a line: shares of the three nearest values."""

    def nearest(line):
        padded = jnp.pad(line, 1)
        return jnp.stack([padded[:-2], padded[1:-1], padded[2:]], -1)

    def taken_back(dnear):
        wide = [jnp.pad(dnear[:, k], (k, 2 - k)) for k in range(3)]
        return sum(wide)[1:-1]

    @jax.custom_vjp
    def upsample(flow, logits):
        share = jax.nn.softmax(logits, -1)
        channels = [share @ nearest(line)[..., None] for line in flow.T]
        return jnp.concatenate(channels, -1)

    def fwd(flow, logits):
        return upsample.fun(flow, logits), (flow, logits)

    def bwd(res, g):
        flow, logits = res
        share = jax.nn.softmax(logits, -1)
        tape, start = [], [0]
        for channel in range(flow.shape[1]):
            start[0] = channel
            tape.append((start if slip else list(start), g[..., channel]))
        dflow, dshare = jnp.zeros_like(flow), jnp.zeros_like(share)
        for number, (begin, dy) in enumerate(tape):
            dshare = dshare + dy[..., None] * nearest(flow[:, number])[:, None]
            dline = taken_back((dy[..., None] * share).sum(1))
            dflow = dflow.at[:, begin[0]].add(dline)
        inner = (share * dshare).sum(-1, keepdims=True)
        return dflow, share * (dshare - inner)

    upsample.defvjp(fwd, bwd)
    return upsample, upsample.fun


@case(
    "JuliaDiff/ChainRules.jl#195",
    "complex elementwise",
    lambda rng: (lax.complex(*draw(real=(3, 4), imaginary=(3, 4))(rng)),),
    Twin(
        "as reported",
        "sign|operand|function|factor|transpose",
        "z",
        "The slope 2 z of real numbers is taken for complex ones.",
    ),
    kind="bug",
    name="abs2 ChainRules.jl#195",
    narrow=False,
)
def abs2(slip):
    @jax.custom_vjp
    def squared(z):
        return z.real**2 + z.imag**2

    def fwd(z):
        return squared.fun(z), z

    def bwd(z, g):
        """In JAX's convention a cotangent of z is that of its conjugate."""
        return (2 * g * (z if slip else z.conj()),)

    squared.defvjp(fwd, bwd)
    return squared, squared.fun
