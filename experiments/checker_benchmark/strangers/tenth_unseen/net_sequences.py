"""Recurrent layers and attention without a softmax: writes, resets, masks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def delta_tokens(rng):
    keys = unit_rows(rng, 7, 3)
    return normal(rng, 7, 3), keys, normal(rng, 7, 4), positive(rng, 2, 7, high=0.9)


@case(
    "gated DeltaNet in levanter, recurrent form",
    "linear attention with an erasing write",
    delta_tokens,
    Twin(
        "erased read",
        "term|path",
        "k",
        "The key's gradient lacks what was read out to be erased.",
    ),
    Twin(
        "state after",
        "residual|index|operand",
        "k gates",
        "The state after the step is used where the one before belongs.",
    ),
    Twin(
        "undecayed",
        "factor|term",
        "k v gates",
        "The carried gradient of the state is not multiplied by the decay.",
    ),
    narrow=False,
)
def gated_delta_rule(slip):
    # q, k: [T, dk]; v: [T, dv]; gates: [2, T], decay and writing strength
    def one_step(S, inp):
        q_t, k_t, v_t, a, b = inp
        Sd = a * S
        err = v_t - Sd @ k_t
        S_new = Sd + b * jnp.outer(err, k_t)
        return S_new, (S_new @ q_t, S, S_new)

    def run(q, k, v, gates):
        S0 = jnp.zeros((v.shape[1], k.shape[1]), v.dtype)
        return lax.scan(one_step, S0, (q, k, v, *gates))[1]

    def plain(q, k, v, gates):
        return run(q, k, v, gates)[0]

    @jax.custom_vjp
    def delta_net(q, k, v, gates):
        return plain(q, k, v, gates)

    def delta_fwd(q, k, v, gates):
        o, before, after = run(q, k, v, gates)
        return o, ((q, k, v, gates), before, after)

    def delta_bwd(saved, do):
        (q, k, v, gates), before, after = saved

        def back(dS, inp):
            q_t, k_t, v_t, a, b, S, S_new, do_t = inp
            if slip == "state after":
                S = S_new
            dq_t = S_new.T @ do_t
            dS = dS + jnp.outer(do_t, q_t)
            err = v_t - a * (S @ k_t)
            dSk = dS @ k_t
            db = err @ dSk
            derr = b * dSk
            dk_t = b * (dS.T @ err)
            if slip != "erased read":
                dk_t = dk_t - a * (S.T @ derr)
            dSd = dS - jnp.outer(derr, k_t)
            da = jnp.vdot(dSd, S)
            dS = dSd if slip == "undecayed" else a * dSd
            return dS, (dq_t, dk_t, derr, da, db)

        dS0 = jnp.zeros_like(before[0])
        seq = (q, k, v, *gates, before, after, do)
        _, (dq, dk, dv, da, db) = lax.scan(back, dS0, seq, reverse=True)
        return dq, dk, dv, jnp.stack([da, db])

    delta_net.defvjp(delta_fwd, delta_bwd)
    return delta_net, plain


class Pooled(NamedTuple):
    mean: jax.Array
    scale: jax.Array | None


@case(
    "mean pooling with an optional mask and optional gain, as in flaxformer heads",
    "pooling with None arguments",
    lambda rng: (
        normal(rng, 2, 5, 3),
        jnp.asarray([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool),
        Pooled(normal(rng, 3), None),
    ),
    Twin(
        "padded count",
        "factor|ratio|mask|sum",
        "tokens",
        "The gradient is divided by the length with its padding.",
    ),
    Twin(
        "padding has a gradient",
        "mask|region",
        "tokens",
        "Padded tokens get a gradient.",
    ),
    Twin(
        "centre",
        "sign",
        "head",
        "The centre that is subtracted gets the sign of one that is added.",
    ),
)
def optional_mask_pool(slip):
    def weights(tokens, mask):
        m = jnp.ones(tokens.shape[:2], tokens.dtype) if mask is None else mask
        m = m.astype(tokens.dtype)
        return m, jnp.maximum(m.sum(1), 1)

    def plain(tokens, mask, head):
        m, n = weights(tokens, mask)
        y = (tokens * m[..., None]).sum(1) / n[:, None] - head.mean
        return y if head.scale is None else y * head.scale

    pool = jax.custom_vjp(plain)

    def fwd(tokens, mask, head):
        m, n = weights(tokens, mask)
        y = (tokens * m[..., None]).sum(1) / n[:, None] - head.mean
        out = y if head.scale is None else y * head.scale
        return out, (m, n, y, head.scale)

    def bwd(res, g):
        m, n, y, scale = res
        dscale = None if scale is None else (g * y).sum(0)
        dy = g if scale is None else g * scale
        per = jnp.full_like(n, m.shape[1]) if slip == "padded count" else n
        dtokens = (dy / per[:, None])[:, None].repeat(m.shape[1], 1)
        if slip != "padding has a gradient":
            dtokens = dtokens * m[..., None]
        dmean = dy.sum(0) if slip == "centre" else -dy.sum(0)
        return dtokens, None, Pooled(dmean, dscale)

    pool.defvjp(fwd, bwd)
    return pool, plain
