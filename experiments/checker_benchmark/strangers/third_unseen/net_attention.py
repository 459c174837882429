"""Attention with mixed heads and in blocks; a recurrence with a matrix for memory."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def softmax_pullback(p, dp):
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def talking_args(rng):
    q, k, v = draw(q=(2, 4, 3, 5), k=(2, 4, 3, 5), v=(2, 4, 3, 5))(rng)
    mixes = [jnp.eye(3) + 0.2 * normal(rng, 3, 3) for _ in range(2)]
    return q, k, v, {"logits": mixes[0], "weights": mixes[1]}, True


@case(
    "talking-heads attention of CaiT and of mesh-tensorflow, in flax",
    "attention",
    talking_args,
    Twin(
        "heads mixed the same way back",
        "transpose",
        "q k mix",
        "The weights' cotangent goes through the second mix, not its transpose.",
    ),
    Twin(
        "mix of the mixed",
        "operand|residual",
        "mix",
        "The first mix's gradient is taken with the scores after the mix.",
    ),
    Twin(
        "mix left out",
        "term|path|factor|function",
        "q k",
        "The cotangent of the scores does not go through the first mix.",
    ),
)
def talking_heads_attention(slip):
    def scores(q, k, mix, causal):
        raw = jnp.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5
        mixed = jnp.einsum("bhij,hg->bgij", raw, mix["logits"])
        if causal:
            past = jnp.tril(jnp.ones(mixed.shape[-2:], bool))
            mixed = jnp.where(past, mixed, jnp.finfo(mixed.dtype).min)
        return raw, mixed

    def plain(q, k, v, mix, causal):
        p = jax.nn.softmax(scores(q, k, mix, causal)[1])
        p = jnp.einsum("bhij,hg->bgij", p, mix["weights"])
        return jnp.einsum("bhij,bjhd->bihd", p, v)

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, mix, causal):
        return plain(q, k, v, mix, causal), (q, k, v, mix)

    def bwd(causal, res, do):
        q, k, v, mix = res
        raw, mixed = scores(q, k, mix, causal)
        p = jax.nn.softmax(mixed)
        spoken = jnp.einsum("bhij,hg->bgij", p, mix["weights"])
        dv = jnp.einsum("bhij,bihd->bjhd", spoken, do)
        dspoken = jnp.einsum("bihd,bjhd->bhij", do, v)
        dweights = jnp.einsum("bhij,bgij->hg", p, dspoken)
        back = mix["weights"]
        if slip != "heads mixed the same way back":
            back = back.T
        ds = softmax_pullback(p, jnp.einsum("bhij,hg->bgij", dspoken, back))
        seen = raw
        if slip == "mix of the mixed":
            seen = jnp.einsum("bhij,hg->bgij", raw, mix["logits"])
        dlogits = jnp.einsum("bhij,bgij->hg", seen, ds)
        if slip != "mix left out":
            ds = jnp.einsum("bgij,hg->bhij", ds, mix["logits"])
        ds = ds * q.shape[-1] ** -0.5
        dq = jnp.einsum("bhij,bjhd->bihd", ds, k)
        dk = jnp.einsum("bhij,bihd->bjhd", ds, q)
        return dq, dk, dv, {"logits": dlogits, "weights": dweights}

    attend.defvjp(fwd, bwd)
    return attend, plain


def of_length(length):
    def args(rng):
        shape = (2, length, 3)
        return *draw(q=shape, k=shape, v=shape)(rng), 3

    return args


@case(
    "local attention in blocks with one block of look-back, in scenic and lucidrains",
    "attention with a window",
    of_length(9),
    Twin(
        "look-back",
        "term|path|region|sum",
        "k v",
        "What the next block sees of the keys and values is not added to them.",
    ),
    Twin(
        "shifted on",
        "index|region|sum",
        "k v",
        "The look-back's part is moved by a block once more, where it belongs back.",
    ),
    Twin(
        "oldest key",
        "mask|region|predicate|index",
        "q k v",
        "The backward's window is one token longer than the forward's.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def local_block_attention(slip):
    def blocks(x, size):
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % size), (0, 0)))
        return x.reshape(len(x), -1, size, x.shape[-1])

    def look_back(x):
        before = jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
        return jnp.concatenate([before, x], 2)

    def weights(q, k, size, window):
        count = q.shape[1]
        mine = jnp.arange(count)[:, None] * size + jnp.arange(size)
        theirs = (jnp.arange(count)[:, None] - 1) * size + jnp.arange(2 * size)
        ago = mine[:, :, None] - theirs[:, None]
        seen = (ago >= 0) & (ago <= window) & (theirs[:, None] >= 0)
        s = q @ look_back(k).mT * q.shape[-1] ** -0.5
        return seen, jnp.where(seen, s, -1e30)

    def plain(q, k, v, size):
        length = q.shape[1]
        qb, kb, vb = (blocks(x, size) for x in (q, k, v))
        p = jax.nn.softmax(weights(qb, kb, size, size)[1])
        out = p @ look_back(vb)
        return out.reshape(len(q), -1, v.shape[-1])[:, :length]

    attend = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, v, size):
        qb, kb = blocks(q, size), blocks(k, size)
        lse = jax.nn.logsumexp(weights(qb, kb, size, size)[1], -1)
        return plain(q, k, v, size), (q, k, v, lse)

    def bwd(size, res, do):
        q, k, v, lse = res
        length = q.shape[1]
        window = size + 1 if slip == "oldest key" else size
        qb, kb, vb, db = (blocks(x, size) for x in (q, k, v, do))
        seen, s = weights(qb, kb, size, window)
        p = jnp.where(seen, jnp.exp(s - lse[..., None]), 0)
        ds = softmax_pullback(p, db @ look_back(vb).mT) * q.shape[-1] ** -0.5
        dq = ds @ look_back(kb)

        def home(pairs):
            before, now = pairs[:, :, :size], pairs[:, :, size:]
            if slip == "look-back":
                return now
            if slip == "shifted on":
                return now + jnp.pad(before, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
            return now + jnp.pad(before, ((0, 0), (0, 1), (0, 0), (0, 0)))[:, 1:]

        grads = dq, home(ds.mT @ qb), home(p.mT @ db)
        return tuple(d.reshape(len(q), -1, d.shape[-1])[:, :length] for d in grads)

    attend.defvjp(fwd, bwd)
    return attend, plain


def memory_args(rng):
    gates = {"i": normal(rng, 2, 5, mean=-1.0), "f": normal(rng, 2, 5, mean=2.0)}
    return *draw(q=(2, 5, 4), k=(2, 5, 4), v=(2, 5, 3))(rng), gates


def loud_inputs(rng):
    *qkv, gates = memory_args(rng)
    return *qkv, {**gates, "i": gates["i"] + 4}


@case(
    "matrix memories with exponential gates (mLSTM) in xLSTM ports, parallel form",
    "linear attention with gates",
    memory_args,
    Twin(
        "normaliser",
        "term|path",
        "q k gates",
        "The sum that the output is divided by is taken for a constant.",
        witness=loud_inputs,
    ),
    Twin(
        "own forget gate",
        "index|sum|region",
        "gates",
        "A forget gate's gradient has the entries of its own time step's input too.",
    ),
    Twin(
        "bound of the normaliser",
        "mask|region|predicate",
        "q k gates",
        "The sum's gradient flows where the bound 1 is the larger, too.",
    ),
    scales=(0.1, 1.0, 3.0),
    narrow=False,
)
def matrix_lstm(slip):
    def pieces(q, k, gates):
        time = jnp.arange(q.shape[1])
        past = time[:, None] >= time
        kept = jnp.cumsum(jax.nn.log_sigmoid(gates["f"]), -1)
        log = kept[:, :, None] - kept[:, None] + gates["i"][:, None]
        log = jnp.where(past, log, -jnp.inf)
        top = log.max(-1)
        s = q @ k.mT * q.shape[-1] ** -0.5
        decay = jnp.exp(log - top[..., None])
        total = (s * decay).sum(-1)
        bound = jnp.exp(-top)
        return s, decay, total, bound, jnp.abs(total) > bound

    def plain(q, k, v, gates):
        s, decay, total, bound, large = pieces(q, k, gates)
        norm = jnp.where(large, jnp.abs(total), bound)
        return (s * decay) @ v / norm[..., None]

    mix = jax.custom_vjp(plain)

    def fwd(q, k, v, gates):
        out = plain(q, k, v, gates)
        return out, (q, k, v, gates, out)

    def bwd(res, do):
        q, k, v, gates, out = res
        s, decay, total, bound, large = pieces(q, k, gates)
        norm = jnp.where(large, jnp.abs(total), bound)
        if slip == "bound of the normaliser":
            large = jnp.ones_like(large)
        through = -(do * out).sum(-1) / norm * jnp.sign(total)
        through = jnp.where(large, through, 0)
        if slip == "normaliser":
            through = jnp.zeros_like(through)
        dw = do @ v.mT / norm[..., None] + through[..., None]
        dv = (s * decay / norm[..., None]).mT @ do
        ds = dw * decay * q.shape[-1] ** -0.5
        dlog = dw * decay * s
        di = dlog.sum(-2)
        dkept = dlog.sum(-1) - di
        if slip == "own forget gate":
            dkept = dlog.sum(-1) - jnp.pad(di, ((0, 0), (1, 0)))[:, :-1]
        df = jax.lax.cumsum(dkept, 1, reverse=True) * jax.nn.sigmoid(-gates["f"])
        return ds @ k, ds.mT @ q, dv, {"i": di, "f": df}

    mix.defvjp(fwd, bwd)
    return mix, plain
