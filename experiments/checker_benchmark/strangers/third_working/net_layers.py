"""Layers: saturating and clamped activations, dropout, embeddings, adapters."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def tanh_args(rng):
    return normal(rng, 2, 4, 6), jnp.float32(0.5), jnp.ones(6), jnp.zeros(6)


def trained_tanh(rng):
    return normal(rng, 2, 4, 6), jnp.float32(0.8), positive(rng, 6), normal(rng, 6)


@case(
    "dynamic tanh in place of normalisation (DyT), as in Liger-Kernel",
    "activation with learned parameters",
    tanh_args,
    Twin(
        "alpha left out",
        "factor|ratio|operand",
        "x",
        "The inner derivative of x lacks alpha.",
    ),
    Twin(
        "gain left out of alpha",
        "factor|operand",
        "alpha",
        "The scalar's gradient takes the cotangent of the output, not of the tanh.",
        witness=trained_tanh,
    ),
    Twin(
        "gain by the input",
        "operand|function|residual",
        "gain",
        "The gain's gradient is weighed by alpha x rather than by its tanh.",
    ),
)
def dynamic_tanh(slip):
    @jax.custom_vjp
    def squash(x, alpha, gain, bias):
        return gain * jnp.tanh(alpha * x) + bias

    def fwd(x, alpha, gain, bias):
        return squash.fun(x, alpha, gain, bias), (x, alpha, gain)

    def bwd(res, g):
        x, alpha, gain = res
        t = jnp.tanh(alpha * x)
        batch = tuple(range(x.ndim - 1))
        dt = g * gain * (1 - t * t)
        inner = g * (1 - t * t) if slip == "gain left out of alpha" else dt
        seen = alpha * x if slip == "gain by the input" else t
        dx = dt if slip == "alpha left out" else alpha * dt
        return dx, (inner * x).sum(), (g * seen).sum(batch), g.sum(batch)

    squash.defvjp(fwd, bwd)
    return squash, squash.fun


def limited(limit, std=1.0):
    return lambda rng: (std * normal(rng, 3, 8), 1.702, limit)


@case(
    "clamped SwiGLU with interleaved gates of gpt-oss in JAX",
    "gated MLP",
    limited(7.0),
    Twin(
        "plus one",
        "term|operand|factor",
        "x",
        "The gate's cotangent is multiplied by up, where up + 1 was in the forward.",
    ),
    Twin(
        "slope of the sigmoid",
        "factor|function|term",
        "x",
        "The sharpness 1.702 is not in the derivative of the sigmoid's argument.",
    ),
    Twin(
        "gate clamped on both sides",
        "mask|region|predicate",
        "x",
        "The gate is clamped from above, its mask is from both sides.",
        witness=limited(0.5),
    ),
)
def clamped_swiglu(slip):
    def clamped(x, limit):
        gate, up = x[..., ::2], x[..., 1::2]
        gate = jnp.where(gate > limit, limit, gate)
        up = jnp.where(up > limit, limit, jnp.where(up < -limit, -limit, up))
        return gate, up

    def plain(x, sharp, limit):
        gate, up = clamped(x, limit)
        return gate * jax.nn.sigmoid(sharp * gate) * (up + 1)

    act = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, sharp, limit):
        return plain(x, sharp, limit), x

    def bwd(sharp, limit, x, g):
        gate, up = clamped(x, limit)
        s = jax.nn.sigmoid(sharp * gate)
        rate = 1.0 if slip == "slope of the sigmoid" else sharp
        shift = 0 if slip == "plus one" else 1
        dgate = g * (up + shift) * s * (1 + rate * gate * (1 - s))
        dup = g * gate * s
        raw_gate, raw_up = x[..., ::2], x[..., 1::2]
        kept = raw_gate <= limit
        if slip == "gate clamped on both sides":
            kept = jnp.abs(raw_gate) <= limit
        dgate = jnp.where(kept, dgate, 0)
        dup = jnp.where(jnp.abs(raw_up) <= limit, dup, 0)
        return (jnp.stack([dgate, dup], -1).reshape(x.shape),)

    act.defvjp(fwd, bwd)
    return act, plain


def dropped(rate):
    def args(rng):
        params = {"w": 0.5 * normal(rng, 6, 6), "b": jnp.zeros(6)}
        seed = int(rng.integers(1000))
        return normal(rng, 4, 6), params, jax.random.PRNGKey(seed), rate

    return args


@case(
    "residual blocks with dropout in haiku and trax, the key given",
    "dropout",
    dropped(0.25),
    Twin(
        "another mask",
        "mask|residual|operand|region",
        "x params",
        "The backward draws its mask from a key that it has split.",
    ),
    Twin(
        "not rescaled",
        "ratio|factor",
        "x params",
        "The kept entries are not divided by the probability to be kept.",
    ),
    Twin("skip", "term|path", "x", "The cotangent of the residual path is forgotten."),
)
def dropout_dense_block(slip):
    def kept(key, shape, rate):
        return jax.random.bernoulli(key, 1 - rate, shape)

    def plain(x, params, key, rate):
        h = jax.nn.relu(x @ params["w"] + params["b"])
        return x + jnp.where(kept(key, h.shape, rate), h / (1 - rate), 0)

    block = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, params, key, rate):
        z = x @ params["w"] + params["b"]
        keep = kept(key, z.shape, rate)
        y = x + jnp.where(keep, jax.nn.relu(z) / (1 - rate), 0)
        if slip == "another mask":
            keep = kept(jax.random.split(key)[0], z.shape, rate)
        return y, (x, params["w"], z > 0, keep)

    def bwd(rate, res, g):
        x, w, active, keep = res
        share = 1.0 if slip == "not rescaled" else 1 - rate
        dz = jnp.where(keep & active, g / share, 0)
        dx = dz @ w.T
        if slip != "skip":
            dx = dx + g
        return dx, {"w": x.T @ dz, "b": dz.sum(0)}, None

    block.defvjp(fwd, bwd)
    return block, plain


def padded_ids(pad):
    def args(rng):
        ids = integers(rng, 6, 2, 5) + 1
        return normal(rng, 7, 3), ids.at[1, 3:].set(pad % 7), pad

    return args


@case(
    "embeddings with padding_idx, scaled, in ports of fairseq models",
    "embedding",
    padded_ids(0),
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "table",
        "The rows are written, not added, so of equal tokens one counts.",
    ),
    Twin(
        "padding learns",
        "mask|region|index|predicate",
        "table",
        "The row of the padding has a gradient.",
    ),
    Twin(
        "padding from the end",
        "mask|index|option|region|predicate",
        "table",
        "A negative padding index is counted from the end in the forward only.",
        witness=padded_ids(-1),
    ),
)
def embedding_with_padding(slip):
    def plain(table, ids, pad):
        rows = table[ids] * table.shape[1] ** 0.5
        return jnp.where((ids == pad % len(table))[..., None], 0, rows)

    embed = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(table, ids, pad):
        like = jnp.zeros((len(table), 0), table.dtype)
        return plain(table, ids, pad), (ids, like)

    def bwd(pad, res, g):
        ids, like = res
        hole = pad if slip == "padding from the end" else pad % len(like)
        dtable = jnp.zeros((len(like), g.shape[-1]), like.dtype)
        rows = g * g.shape[-1] ** 0.5
        if slip != "padding learns":
            rows = jnp.where((ids == hole)[..., None], 0, rows)
        if slip == "last one wins":
            return dtable.at[ids].set(rows), None
        return dtable.at[ids].add(rows), None

    embed.defvjp(fwd, bwd)
    return embed, plain


def adapter_args(rng):
    base = normal(rng, 5, 4)
    magnitude = jnp.linalg.norm(base, axis=0)
    down, up = 0.4 * normal(rng, 5, 2), jnp.zeros((2, 4))
    return normal(rng, 3, 5), base, {"a": down, "b": up, "m": magnitude}, 4.0


@case(
    "weight-decomposed low-rank adapters (DoRA) in EasyDeL",
    "low-rank adapter",
    adapter_args,
    Twin(
        "norm a constant",
        "term|path",
        "params",
        "The direction is not projected: the columns' norm is taken for a constant.",
    ),
    Twin(
        "scaling of the adapter",
        "ratio|factor|option",
        "params",
        "alpha / rank is in the forward only.",
    ),
    Twin(
        "magnitude by raw columns",
        "factor|operand",
        "params",
        "The magnitude's gradient is taken with columns that are not normalised.",
    ),
    options=lambda plain: {"nondiff": ("base",)},
    narrow=False,
)
def dora_dense(slip):
    def plain(x, base, params, alpha):
        scale = alpha / params["a"].shape[1]
        v = base + scale * params["a"] @ params["b"]
        return x @ (v * (params["m"] / jnp.linalg.norm(v, axis=0)))

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, base, params, alpha):
        return plain(x, base, params, alpha), (x, base, params)

    def bwd(alpha, res, g):
        x, base, params = res
        a, b, m = params["a"], params["b"], params["m"]
        scale = alpha / a.shape[1]
        v = base + scale * a @ b
        norm = jnp.linalg.norm(v, axis=0)
        unit = v / norm
        dw = x.T @ g
        dm = (dw * (v if slip == "magnitude by raw columns" else unit)).sum(0)
        along = 0 if slip == "norm a constant" else unit * (dw * unit).sum(0)
        dv = m / norm * (dw - along)
        if slip != "scaling of the adapter":
            dv = scale * dv
        dx = g @ (unit * m).T
        return dx, jnp.zeros_like(base), {"a": dv @ b.T, "b": a.T @ dv, "m": dm}

    dense.defvjp(fwd, bwd)
    return dense, plain
