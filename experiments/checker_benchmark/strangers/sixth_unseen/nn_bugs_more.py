"""More bugs of layers with their threads."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "pytorch/audio#1532",
    "speech",
    lambda rng: (normal(rng, 3, 4, 3, 5), 1 + integers(rng, 4, 3, 2)),
    Twin(
        "as reported",
        "cotangent|factor|ratio|affine",
        "logits",
        "The gradients that were kept are returned without the losses' cotangents.",
    ),
    kind="bug",
    name="transducer audio#1532",
    narrow=False,
)
def transducer(slip):
    def one(logits, labels):
        """The negative log-likelihood of an utterance; blank is 0."""
        logp = jax.nn.log_softmax(logits)
        frames, count = logits.shape[0], labels.shape[0]
        blank, emit = logp[..., 0], logp[:, jnp.arange(count), labels]
        reached = {(0, 0): jnp.zeros((), logits.dtype)}
        for t in range(frames):
            for u in range(count + 1):
                ways = []
                if t > 0:
                    ways.append(reached[t - 1, u] + blank[t - 1, u])
                if u > 0:
                    ways.append(reached[t, u - 1] + emit[t, u - 1])
                if ways:
                    reached[t, u] = jax.nn.logsumexp(jnp.stack(ways))
        return -reached[frames - 1, count] - blank[-1, -1]

    @jax.custom_vjp
    def loss(logits, labels):
        return jax.vmap(one)(logits, labels)

    def fwd(logits, labels):
        out, grads = jax.vmap(jax.value_and_grad(one))(logits, labels)
        return out, grads

    def bwd(grads, g):
        return (grads if slip else g[:, None, None, None] * grads), None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def chosen_latents(rng):
    order = [rng.permutation(7)[:3] for _ in range(5)]
    top = jnp.asarray(order, jnp.int32)
    return normal(rng, 5, 2, 6), normal(rng, 7, 6), jnp.zeros(2), top, 4


@case(
    "NVIDIA/cudnn-frontend#421",
    "attention",
    chosen_latents,
    Twin(
        "as reported",
        "operand|residual|zero|path|term|option",
        "q kv sink",
        "Where keys are wider than values, the sink is left out on the way back.",
    ),
    kind="bug",
    name="sparse_latent_sink cudnn-frontend#421",
)
def sparse_latent_sink(slip):
    def scores(q, kv, sink, top):
        keys = kv[top]
        s = jnp.einsum("thd,tkd->thk", q, keys) / q.shape[-1] ** 0.5
        base = jax.nn.logsumexp(s, axis=-1, keepdims=True)
        return keys, s, base, jnp.logaddexp(base, sink[:, None])

    def plain(q, kv, sink, top, width):
        keys, s, _, total = scores(q, kv, sink, top)
        return jnp.einsum("thk,tkd->thd", jnp.exp(s - total), keys[..., :width])

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, kv, sink, top, width):
        out = plain(q, kv, sink, top, width)
        return out, (q, kv, sink, top, out)

    def bwd(width, res, g):
        q, kv, sink, top, out = res
        keys, s, base, total = scores(q, kv, sink, top)
        forgotten = slip and q.shape[-1] != width
        p = jnp.exp(s - (base if forgotten else total))
        delta = (g * out).sum(-1, keepdims=True)
        dp = jnp.einsum("thd,tkd->thk", g, keys[..., :width])
        ds = p * (dp - delta) / q.shape[-1] ** 0.5
        dkeys = jnp.einsum("thk,thd->tkd", ds, q)
        dvalues = jnp.einsum("thk,thd->tkd", p, g)
        dkeys = dkeys.at[..., :width].add(dvalues)
        dsink = -(jnp.exp(sink[:, None] - total) * delta).sum((0, 2))
        if forgotten:
            dsink = jnp.zeros_like(sink)
        dkv = jnp.zeros_like(kv).at[top].add(dkeys)
        return jnp.einsum("thk,tkd->thd", ds, keys), dkv, dsink, None

    attend.defvjp(fwd, bwd)
    return attend, plain
