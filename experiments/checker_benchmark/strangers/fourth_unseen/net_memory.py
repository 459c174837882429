"""Blocks that keep little: inputs are found again, recomputed, or packed in bits."""

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


def long_sequence(rng):
    params = {n: normal(rng, 4, 6, std=0.5) for n in ("gate", "up")}
    params["down"] = normal(rng, 6, 4, std=0.5)
    return normal(rng, 10, 4), params, 4


@case(
    "tiled MLPs of long sequences (Arctic long-sequence training), as in Liger-Kernel",
    "gated MLP in tiles",
    long_sequence,
    Twin(
        "last tile",
        "sum|term|path",
        "params",
        "The tiles' gradients of the weights overwrite one another.",
    ),
    Twin(
        "mean of the tiles",
        "ratio|factor|sum",
        "params",
        "The weights get the mean over the tiles.",
    ),
    Twin(
        "gate only",
        "term|function|factor|path",
        "x params",
        "The sigmoid within SiLU is held fixed in the tile's backward.",
    ),
)
def tiled_mlp(slip):
    def mlp(x, params):
        return (jax.nn.silu(x @ params["gate"]) * (x @ params["up"])) @ params["down"]

    def tiles(x, size):
        count = -(-len(x) // size)
        padded = jnp.pad(x, ((0, count * size - len(x)), (0, 0)))
        return padded.reshape(count, size, x.shape[-1])

    def plain(x, params, size):
        return mlp(x, params)

    def forward(x, params, size):
        y = lax.map(lambda tile: mlp(tile, params), tiles(x, size))
        return y.reshape(-1, y.shape[-1])[: len(x)]

    tiled = jax.custom_vjp(forward, nondiff_argnums=(2,))

    def fwd(x, params, size):
        return forward(x, params, size), (x, params)

    def one(x, params, g):
        a, b = x @ params["gate"], x @ params["up"]
        s = jax.nn.sigmoid(a)
        h = a * s * b
        dh = g @ params["down"].T
        slope = s if slip == "gate only" else s * (1 + a * jax.nn.sigmoid(-a))
        da, db = dh * b * slope, dh * a * s
        dx = da @ params["gate"].T + db @ params["up"].T
        return dx, {"gate": x.T @ da, "up": x.T @ db, "down": h.T @ g}

    def bwd(size, res, g):
        x, params = res

        def step(total, tile):
            dx, grads = one(tile[0], params, tile[1])
            if slip == "last tile":
                return grads, dx
            return jax.tree.map(jnp.add, total, grads), dx

        none = jax.tree.map(jnp.zeros_like, params)
        total, dx = lax.scan(step, none, (tiles(x, size), tiles(g, size)))
        if slip == "mean of the tiles":
            total = jax.tree.map(lambda d: d / len(dx), total)
        return dx.reshape(-1, x.shape[-1])[: len(x)], total

    tiled.defvjp(fwd, bwd)
    return tiled, plain


def dropped(rng):
    key = jax.random.PRNGKey(int(rng.integers(1000)))
    return normal(rng, 3, 5), normal(rng, 3, 5), key, 0.2


@case(
    "fused ReLU, dropout and residual with the mask in bits, as in torch extensions",
    "dropout",
    dropped,
    Twin(
        "order of the bits",
        "mask|residual|index|operand|region",
        "x",
        "The bits are unpacked from the lowest, they were packed from the highest.",
    ),
    Twin(
        "dropout alone",
        "mask|region|predicate",
        "x",
        "The packed bits have the dropout's mask without the sign of x.",
    ),
    Twin(
        "not rescaled",
        "ratio|factor|option",
        "x",
        "Kept entries are not divided by the probability to be kept.",
    ),
)
def packed_dropout_add(slip):
    def kept(x, key, rate):
        return jax.random.bernoulli(key, 1 - rate, x.shape)

    def plain(x, residual, key, rate):
        keep = kept(x, key, rate) & (x > 0)
        return residual + jnp.where(keep, x / (1 - rate), 0)

    add = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, residual, key, rate):
        keep = kept(x, key, rate)
        y = residual + jnp.where(keep & (x > 0), x / (1 - rate), 0)
        if slip != "dropout alone":
            keep = keep & (x > 0)
        return y, jnp.packbits(keep.ravel())

    def bwd(rate, bits, g):
        order = "little" if slip == "order of the bits" else "big"
        flat = jnp.unpackbits(bits, count=g.size, bitorder=order)
        keep = flat.reshape(g.shape).astype(bool)
        share = 1.0 if slip == "not rescaled" else 1 - rate
        return jnp.where(keep, g / share, 0), g, None

    add.defvjp(fwd, bwd)
    return add, plain
