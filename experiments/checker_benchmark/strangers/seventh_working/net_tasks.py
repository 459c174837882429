"""Objectives of policies, of retrieval, of flows, and an optimiser's step."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def played(rng):
    advantage = jnp.asarray([0.3, -1.2, 2.5, 0.1, -0.4], jnp.float32)
    return normal(rng, 5, 4), integers(rng, 4, 5), advantage, 0.8, 10.0


@case(
    "advantage-weighted regression (AWR) in acme and rlax users' code",
    "policy loss",
    played,
    Twin(
        "clipped weights",
        "mask|region",
        "advantage",
        "A weight at its largest passes a gradient to the advantage.",
    ),
    Twin(
        "temperature",
        "option|factor|ratio",
        "advantage",
        "The exponent's division by the temperature is missing.",
    ),
    Twin(
        "unweighted",
        "factor|operand|ratio",
        "logits",
        "The log-probabilities get the same cotangent whatever the weight.",
    ),
    fixed=(2,),
)
def awr_loss(slip):
    def plain(logits, action, advantage, temperature, largest):
        log_p = jax.nn.log_softmax(logits)
        own = jnp.take_along_axis(log_p, action[:, None], 1)[:, 0]
        weight = jnp.minimum(jnp.exp(advantage / temperature), largest)
        return -(weight * own).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(logits, action, advantage, temperature, largest):
        value = plain(logits, action, advantage, temperature, largest)
        return value, (jax.nn.log_softmax(logits), action, advantage)

    def bwd(temperature, largest, res, g):
        log_p, action, advantage = res
        raw = jnp.exp(advantage / temperature)
        weight = jnp.minimum(raw, largest)
        if slip == "unweighted":
            weight = jnp.ones_like(weight)
        rows = jnp.arange(len(action))
        each = g / len(action)
        dlogits = each * weight[:, None] * jnp.exp(log_p)
        dlogits = dlogits.at[rows, action].add(-each * weight)
        slope = raw if slip == "temperature" else raw / temperature
        if slip != "clipped weights":
            slope = jnp.where(raw < largest, slope, 0)
        return dlogits, None, -each * log_p[rows, action] * slope

    loss.defvjp(fwd, bwd)
    return loss, plain


def towers(rng):
    ids = jnp.asarray([7, 2, 7, 9, 4], jnp.int32)
    log_q = jnp.log(positive(rng, 5, low=0.05, high=0.5))
    return normal(rng, 5, 3), normal(rng, 5, 3), log_q, ids, 0.7


@case(
    "in-batch softmax with the logQ correction in two-tower recommenders (TFRS)",
    "retrieval loss",
    towers,
    Twin(
        "accidental hits",
        "mask",
        "users items log_q",
        "The same item in another row is no negative forward, backward it is.",
    ),
    Twin(
        "temperature",
        "option|factor|ratio",
        "users items",
        "The scores' division by the temperature is left out.",
    ),
    Twin(
        "correction's sign",
        "sign",
        "log_q",
        "log_q is subtracted from the scores, its gradient is as if it were added.",
    ),
    fixed=(2,),
)
def logq_softmax_loss(slip):
    def logits(users, items, log_q, ids, temperature, hits=True):
        scores = users @ items.T / temperature - log_q
        same = (ids[:, None] == ids) & ~jnp.eye(len(ids), dtype=bool)
        return jnp.where(same & hits, -1e9, scores)

    def plain(users, items, log_q, ids, temperature):
        log_p = jax.nn.log_softmax(logits(users, items, log_q, ids, temperature))
        return -jnp.diagonal(log_p).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(users, items, log_q, ids, temperature):
        value = plain(users, items, log_q, ids, temperature)
        return value, (users, items, log_q, ids)

    def bwd(temperature, res, g):
        users, items, log_q, ids = res
        hits = slip != "accidental hits"
        p = jax.nn.softmax(logits(users, items, log_q, ids, temperature, hits))
        ds = g * (p - jnp.eye(len(ids), dtype=p.dtype)) / len(ids)
        dlog_q = -ds.sum(0)
        if slip == "correction's sign":
            dlog_q = -dlog_q
        if slip != "temperature":
            ds = ds / temperature
        return ds @ items, ds.T @ users, dlog_q, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def endpoints(rng):
    params = {"w": normal(rng, 3, 3), "time": normal(rng, 3), "b": normal(rng, 3)}
    return params, normal(rng, 4, 3), normal(rng, 4, 3), positive(rng, 4, high=0.9)


@case(
    "conditional flow matching in JAX (torchcfm ports, ott)",
    "regression of a velocity",
    endpoints,
    Twin(
        "target's part",
        "term|path",
        "noise data",
        "The ends get the model's part, not that of the velocity that is aimed at.",
    ),
    Twin(
        "weights of the ends",
        "swap",
        "noise data",
        "The path's weights t and 1 - t are exchanged.",
    ),
    Twin(
        "path's part of time",
        "term|path",
        "t",
        "The time gets the model's part, not that of the point on the path.",
    ),
    fixed=(3,),
)
def flow_matching_loss(slip):
    def velocity(params, x, t):
        return jnp.tanh(x @ params["w"] + t[:, None] * params["time"] + params["b"])

    def between(noise, data, t):
        return (1 - t)[:, None] * noise + t[:, None] * data

    @jax.custom_vjp
    def loss(params, noise, data, t):
        v = velocity(params, between(noise, data, t), t)
        return ((v - (data - noise)) ** 2).mean()

    def fwd(params, noise, data, t):
        return loss(params, noise, data, t), (params, noise, data, t)

    def bwd(res, g):
        params, noise, data, t = res
        x = between(noise, data, t)
        v = velocity(params, x, t)
        dv = 2 * g * (v - (data - noise)) / v.size
        dz = dv * (1 - v**2)
        dx = dz @ params["w"].T
        dt = (dz * params["time"]).sum(-1)
        if slip != "path's part of time":
            dt = dt + (dx * (data - noise)).sum(-1)
        late = t[:, None]
        if slip == "weights of the ends":
            late = 1 - late
        dtarget = 0 if slip == "target's part" else dv
        dparams = {"w": x.T @ dz, "time": t @ dz, "b": dz.sum(0)}
        return dparams, (1 - late) * dx + dtarget, late * dx - dtarget, dt

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "contrast against a queue (MoCo) in flax ports",
    "contrastive loss",
    lambda rng: (unit_rows(rng, 4, 5), unit_rows(rng, 4, 5), unit_rows(rng, 7, 5), 0.2),
    Twin(
        "positive's one",
        "term",
        "query key",
        "The probability of the positive is there, the one that it aims at isn't.",
    ),
    Twin(
        "temperature twice",
        "option|factor|ratio",
        "queue",
        "The queue's gradient is divided by the temperature again.",
    ),
    Twin(
        "queue summed",
        "term|path|operand",
        "query",
        "The queries get nothing from the negatives of the queue.",
    ),
    fixed=(0, 1, 2),
)
def moco_loss(slip):
    def logits(query, key, queue, temperature):
        positive_ = (query * key).sum(-1, keepdims=True)
        return jnp.concatenate([positive_, query @ queue.T], 1) / temperature

    def plain(query, key, queue, temperature):
        scores = logits(query, key, queue, temperature)
        return (jax.nn.logsumexp(scores, axis=-1) - scores[:, 0]).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(query, key, queue, temperature):
        p = jax.nn.softmax(logits(query, key, queue, temperature))
        return plain(query, key, queue, temperature), (query, key, queue, p)

    def bwd(temperature, res, g):
        query, key, queue, p = res
        one = 0 if slip == "positive's one" else 1
        ds = g * p.at[:, 0].add(-one) / (len(p) * temperature)
        dquery = ds[:, :1] * key
        if slip != "queue summed":
            dquery = dquery + ds[:, 1:] @ queue
        dqueue = ds[:, 1:].T @ query
        if slip == "temperature twice":
            dqueue = dqueue / temperature
        return dquery, ds[:, :1] * query, dqueue

    loss.defvjp(fwd, bwd)
    return loss, plain
