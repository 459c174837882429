"""Parts of models: gated layers, experts, tied tables, blocks that can be undone."""

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


@case(
    "top-k routing with renormalised gates in MaxText",
    "mixture of experts",
    lambda rng: (normal(rng, 4, 3), normal(rng, 3, 5), normal(rng, 4, 5, 3), 2),
    Twin(
        "gates as they are",
        "term|path",
        "x router",
        "The renormalising sum over the chosen experts is held fixed.",
    ),
    Twin(
        "chosen are overwritten",
        "index|swap|operand|region|transpose",
        "x router",
        "Gates' cotangents go back to the first experts, not to the chosen.",
    ),
    Twin(
        "two experts",
        "option|index|region|mask|term|path",
        "x router outputs",
        "The backward takes the best two, whatever k is.",
        witness=lambda rng: (
            normal(rng, 4, 3),
            normal(rng, 3, 5),
            normal(rng, 4, 5, 3),
            3,
        ),
    ),
)
def top_k_experts(slip):
    def route(x, router, k):
        p = jax.nn.softmax(x @ router)
        best, which = lax.top_k(p, k)
        return p, best, which

    def plain(x, router, outputs, k):
        _, best, which = route(x, router, k)
        gates = best / best.sum(-1, keepdims=True)
        chosen = jnp.take_along_axis(outputs, which[..., None], 1)
        return (gates[..., None] * chosen).sum(1)

    moe = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, router, outputs, k):
        return plain(x, router, outputs, k), (x, router, outputs)

    def bwd(k, res, g):
        x, router, outputs = res
        p, best, which = route(x, router, 2 if slip == "two experts" else k)
        total = best.sum(-1, keepdims=True)
        gates = best / total
        chosen = jnp.take_along_axis(outputs, which[..., None], 1)
        dgates = (chosen * g[:, None]).sum(-1)
        row = jnp.arange(len(x))[:, None]
        doutputs = jnp.zeros_like(outputs)
        doutputs = doutputs.at[row, which].set(gates[..., None] * g[:, None])
        mean = (dgates * gates).sum(-1, keepdims=True)
        dbest = (dgates - (0 if slip == "gates as they are" else mean)) / total
        if slip == "chosen are overwritten":
            which = jnp.broadcast_to(jnp.arange(which.shape[1]), which.shape)
        dp = jnp.zeros_like(p).at[row, which].set(dbest)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        return ds @ router.T, x.T @ ds, doutputs

    moe.defvjp(fwd, bwd)
    return moe, plain


def roomy_experts(rng):
    which = jnp.asarray([0, 1, 2, 0, 1, 2], jnp.int32)
    return normal(rng, 6, 3), positive(rng, 6), which, normal(rng, 3, 3, 4), 2


def crowded_experts(rng):
    x, gate, _, kernels, _ = roomy_experts(rng)
    return x, gate, jnp.asarray([1, 1, 0, 1, 2, 1], jnp.int32), kernels, 2


@case(
    "switch routing with a capacity of the experts in flaxformer and t5x",
    "mixture of experts",
    roomy_experts,
    Twin(
        "dropped tokens",
        "mask|region|index|predicate",
        "x gate kernels",
        "Tokens beyond the capacity are pulled back as if they had a place.",
        witness=crowded_experts,
    ),
    Twin(
        "gate forgotten",
        "factor|operand",
        "kernels",
        "The kernels' gradient lacks the gate.",
    ),
    Twin(
        "kernel not transposed",
        "transpose",
        "x",
        "dx contracts the kernel's inputs in a square block.",
        witness=lambda rng: (
            normal(rng, 6, 4),
            positive(rng, 6),
            roomy_experts(rng)[2],
            normal(rng, 3, 4, 4),
            3,
        ),
    ),
    narrow=False,
)
def capacity_experts(slip):
    def dispatch(which, experts, capacity, dtype):
        hot = jax.nn.one_hot(which, experts, dtype=jnp.int32)
        place = (jnp.cumsum(hot, 0) * hot).sum(-1) - 1
        inside = (place >= 0) & (place < capacity)
        slots = jax.nn.one_hot(place, capacity, dtype=dtype)
        return hot.astype(dtype)[:, :, None] * slots[:, None], inside

    def plain(x, gate, which, kernels, capacity):
        d, _ = dispatch(which, len(kernels), capacity, x.dtype)
        h = jnp.einsum("ecd,edf->ecf", jnp.einsum("tec,td->ecd", d, x), kernels)
        return gate[:, None] * jnp.einsum("tec,ecf->tf", d, h)

    moe = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, gate, which, kernels, capacity):
        out = plain(x, gate, which, kernels, capacity)
        return out, (x, gate, which, kernels)

    def bwd(capacity, res, g):
        x, gate, which, kernels = res
        _, inside = dispatch(which, len(kernels), capacity, x.dtype)
        if slip == "dropped tokens":
            inside = jnp.ones_like(inside)
        g = jnp.where(inside[:, None], g, 0)
        mine = kernels[which]
        dgate = jnp.einsum("tf,td,tdf->t", g, x, mine)
        dh = g if slip == "gate forgotten" else gate[:, None] * g
        each = jnp.einsum("td,tf->tdf", x, dh)
        dkernels = jnp.zeros_like(kernels).at[which].add(each)
        dh = gate[:, None] * g
        square = kernels.shape[1] == kernels.shape[2]
        turned = slip == "kernel not transposed" and square
        dx = jnp.einsum("tf,tfd->td" if turned else "tf,tdf->td", dh, mine)
        return dx, dgate, None, dkernels

    moe.defvjp(fwd, bwd)
    return moe, plain


def token_args(rng):
    ids = jnp.asarray([[0, 3, 1, 3], [2, 2, 4, 0]], jnp.int32)
    return 0.5 * normal(rng, 6, 4), ids, normal(rng, 4, 4)


@case(
    "tied embeddings, attend() of flax.linen.Embed, scaled as in Gemma",
    "embedding",
    token_args,
    Twin(
        "decoding forgotten",
        "term|path",
        "table",
        "The table has the gradient of the look-up only.",
    ),
    Twin(
        "root of the width",
        "factor|ratio|operand",
        "table",
        "The look-up's part is not scaled by the root of the width.",
    ),
    Twin(
        "repeated tokens",
        "duplicates|index",
        "table",
        "A token that occurs again overwrites its gradient.",
    ),
)
def tied_embedding(slip):
    @jax.custom_vjp
    def logits(table, ids, mix):
        h = jnp.tanh(table[ids] * table.shape[1] ** 0.5 @ mix)
        return h @ table.T

    def fwd(table, ids, mix):
        e = table[ids] * table.shape[1] ** 0.5
        h = jnp.tanh(e @ mix)
        return h @ table.T, (table, ids, mix, e, h)

    def bwd(res, g):
        table, ids, mix, e, h = res
        dz = (g @ table) * (1 - h * h)
        dmix = jnp.einsum("btd,bte->de", e, dz)
        de = dz @ mix.T
        if slip != "root of the width":
            de = de * table.shape[1] ** 0.5
        at = jnp.zeros_like(table).at[ids]
        dtable = at.set(de) if slip == "repeated tokens" else at.add(de)
        if slip != "decoding forgotten":
            dtable = dtable + jnp.einsum("btv,btd->vd", g, h)
        return dtable, None, dmix

    logits.defvjp(fwd, bwd)
    return logits, logits.fun


def reversible_args(rng):
    kernels = {"f": 0.5 * normal(rng, 3, 3), "g": 0.5 * normal(rng, 3, 3)}
    return kernels, normal(rng, 4, 3), normal(rng, 4, 3)


@case(
    "reversible residual blocks: inputs are recomputed from the outputs",
    "block without residuals",
    reversible_args,
    Twin(
        "undone from the wrong half",
        "residual|operand",
        "kernels x1 x2",
        "x1 is recovered with the second output where x2 belongs.",
    ),
    Twin(
        "cotangent before the second half",
        "cotangent|term|path|operand",
        "kernels x2",
        "The first branch is pulled back without what came through the second.",
    ),
    scales=(0.1, 1.0),
    narrow=False,
)
def reversible_block(slip):
    def branch(x, kernel):
        return jnp.tanh(x @ kernel)

    @jax.custom_vjp
    def block(kernels, x1, x2):
        y1 = x1 + branch(x2, kernels["f"])
        return y1, x2 + branch(y1, kernels["g"])

    def fwd(kernels, x1, x2):
        y1, y2 = block.fun(kernels, x1, x2)
        return (y1, y2), (kernels, y1, y2)

    def bwd(res, cotangents):
        kernels, y1, y2 = res
        dy1, dy2 = cotangents
        z = branch(y1, kernels["g"])
        x2 = y2 - z
        dz = dy2 * (1 - z * z)
        total = dy1 + dz @ kernels["g"].T
        f = branch(y2 if slip == "undone from the wrong half" else x2, kernels["f"])
        early = dy1 if slip == "cotangent before the second half" else total
        df = early * (1 - f * f)
        grads = {"f": x2.T @ df, "g": y1.T @ dz}
        return grads, total, dy2 + df @ kernels["f"].T

    block.defvjp(fwd, bwd)
    return block, block.fun
