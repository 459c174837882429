"""Words: arcs between them, trees of them, words not to say, words in a ball."""

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


def sentences(rng):
    head, dependent = draw(head=(2, 4, 3), dependent=(2, 4, 3))(rng)
    return head, dependent, normal(rng, 2, 4, 4), jnp.array([4, 3], jnp.int32)


@case(
    "biaffine scores of arcs in SuPar and Stanza",
    "scores of pairs of words",
    sentences,
    Twin(
        "heads and dependents",
        "transpose|swap",
        "weight",
        "The gradient of the weight has the two sides exchanged.",
    ),
    Twin(
        "wrong column off",
        "index|edge",
        "head dependent",
        "The first column is taken off where the appended one, the last, is meant.",
    ),
    Twin(
        "padded pairs",
        "mask",
        "head dependent weight",
        "Pairs with padding have a gradient.",
    ),
)
def biaffine_scores(slip):
    def with_one(x):
        return jnp.pad(x, ((0, 0), (0, 0), (0, 1)), constant_values=1)

    def pairs(x, lengths):
        real = jnp.arange(x.shape[1]) < lengths[:, None]
        return (real[:, :, None] & real[:, None])[:, None]

    @jax.custom_vjp
    def scores(head, dependent, weight, lengths):
        h, d = with_one(head), with_one(dependent)
        s = jnp.einsum("bid,ldk,bjk->blij", h, weight, d)
        return jnp.where(pairs(head, lengths), s, -1e4)

    def fwd(head, dependent, weight, lengths):
        value = scores.fun(head, dependent, weight, lengths)
        return value, (head, dependent, weight, lengths)

    def bwd(res, g):
        head, dependent, weight, lengths = res
        h, d = with_one(head), with_one(dependent)
        if slip != "padded pairs":
            g = jnp.where(pairs(head, lengths), g, 0)
        dh = jnp.einsum("blij,ldk,bjk->bid", g, weight, d)
        dd = jnp.einsum("blij,ldk,bid->bjk", g, weight, h)
        form = "blij,bid,bjk->ldk"
        if slip == "heads and dependents":
            form = "blij,bid,bjk->lkd"
        dweight = jnp.einsum(form, g, h, d)
        if slip == "wrong column off":
            return dh[..., 1:], dd[..., 1:], dweight, None
        return dh[..., :-1], dd[..., :-1], dweight, None

    scores.defvjp(fwd, bwd)
    return scores, scores.fun


def tree_of_words(rng):
    path = jnp.array([[0, 1, 3], [0, 1, -1], [0, 2, 4], [0, 2, -1]], jnp.int32)
    code = jnp.array([[1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0]], jnp.int32)
    return normal(rng, 4, 3), normal(rng, 5, 3), normal(rng, 5), path, code


@case(
    "hierarchical softmax of fastText and word2vec",
    "loss over the paths of a tree",
    tree_of_words,
    Twin(
        "root overwritten",
        "duplicates|index|sum",
        "nodes bias",
        "A node that is on several words' paths keeps the gradient of one word.",
    ),
    Twin(
        "end of the path",
        "mask|index",
        "hidden nodes bias",
        "The padding after a short path pushes node 0.",
    ),
    Twin(
        "left is right",
        "sign",
        "hidden nodes bias",
        "Where the code is 0 the gradient has the sign for 1.",
    ),
)
def hierarchical_softmax_nll(slip):
    def logits(hidden, nodes, bias, path):
        at = jnp.maximum(path, 0)
        return jnp.einsum("bd,bld->bl", hidden, nodes[at]) + bias[at]

    @jax.custom_vjp
    def loss(hidden, nodes, bias, path, code):
        z = logits(hidden, nodes, bias, path)
        each = jax.nn.softplus(jnp.where(code == 1, -z, z))
        return jnp.where(path >= 0, each, 0).sum() / len(hidden)

    def fwd(hidden, nodes, bias, path, code):
        res = (hidden, nodes, bias, path, code)
        return loss.fun(*res), res

    def bwd(res, g):
        hidden, nodes, bias, path, code = res
        z = logits(hidden, nodes, bias, path)
        dz = jax.nn.sigmoid(jnp.where(code == 1, -z, z))
        dz = -dz if slip == "left is right" else jnp.where(code == 1, -dz, dz)
        if slip != "end of the path":
            dz = jnp.where(path >= 0, dz, 0)
        dz = g * dz / len(hidden)
        at = jnp.maximum(path, 0)

        def spread(like, rows):
            slots = jnp.zeros_like(like).at[at]
            return slots.set(rows) if slip == "root overwritten" else slots.add(rows)

        dhidden = jnp.einsum("bl,bld->bd", dz, nodes[at])
        dnodes = spread(nodes, dz[..., None] * hidden[:, None])
        return dhidden, dnodes, spread(bias, dz), None, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def words_to_avoid(rng):
    avoid = jnp.array([[1, 1, 3], [0, -1, -1], [2, 4, -1], [5, 0, 5]], jnp.int32)
    return normal(rng, 4, 6), jnp.array([0, 2, 5, 1], jnp.int32), avoid, 0.8


def sure_of_words_to_avoid(rng):
    logits, target, avoid, alpha = words_to_avoid(rng)
    return logits.at[1].set(0.0).at[1, 0].set(9.5), target, avoid, alpha


@case(
    "token unlikelihood (Welleck et al.) in fairseq and ParlAI",
    "loss with words to avoid",
    words_to_avoid,
    Twin(
        "word named twice",
        "duplicates|sum|index",
        "logits",
        "Of two equal words to avoid one is counted in the backward.",
    ),
    Twin(
        "padding",
        "mask",
        "logits",
        "The padding of the lists pushes word 0.",
    ),
    Twin(
        "clamped",
        "mask|region|predicate",
        "logits",
        "Where 1 - p is clamped there is a gradient.",
        witness=sure_of_words_to_avoid,
    ),
    narrow=False,
)
def unlikelihood_loss(slip):
    least = 1e-3

    def chances(logits, avoid):
        return jnp.take_along_axis(jax.nn.softmax(logits), jnp.maximum(avoid, 0), -1)

    def plain(logits, target, avoid, alpha):
        logp = jax.nn.log_softmax(logits)
        said = -jnp.take_along_axis(logp, target[:, None], -1).sum()
        rest = 1 - chances(logits, avoid)
        each = -jnp.log(jnp.where(rest > least, rest, least))
        return said + alpha * jnp.where(avoid >= 0, each, 0).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(logits, target, avoid, alpha):
        return plain(logits, target, avoid, alpha), (logits, target, avoid)

    def bwd(alpha, res, g):
        logits, target, avoid = res
        p = jax.nn.softmax(logits)
        c = chances(logits, avoid)
        pull = alpha * c / jnp.maximum(1 - c, least)
        if slip != "clamped":
            pull = jnp.where(1 - c > least, pull, 0)
        if slip != "padding":
            pull = jnp.where(avoid >= 0, pull, 0)
        rows = jnp.arange(len(avoid))[:, None]
        slots = jnp.zeros_like(p).at[rows, jnp.maximum(avoid, 0)]
        pushed = slots.max(pull) if slip == "word named twice" else slots.add(pull)
        pushed = pushed - p * pull.sum(-1, keepdims=True)
        hot = jax.nn.one_hot(target, p.shape[-1], dtype=p.dtype)
        return g * (p - hot + pushed), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def points_in_ball(rng):
    return normal(rng, 5, 3, std=0.35), normal(rng, 5, 3, std=0.35)


def points_out_of_ball(rng):
    return 3 * normal(rng, 5, 3), normal(rng, 5, 3, std=0.35)


@case(
    "distance in the Poincare ball, gensim's PoincareModel and geoopt",
    "distance of embeddings",
    points_in_ball,
    Twin(
        "put back into the ball",
        "region|mask|term",
        "u",
        "Points outside, which the forward scales back, have the gradient of inside.",
        witness=points_out_of_ball,
    ),
    Twin(
        "ball's own factor",
        "term|factor",
        "v",
        "1 - |v|^2 in the denominator counts as constant.",
    ),
    Twin(
        "second point's sign",
        "sign",
        "v",
        "The difference has the same sign for both points.",
    ),
    narrow=False,
)
def poincare_distance(slip):
    edge = 0.97

    def inside(x):
        squares = (x * x).sum(-1, keepdims=True)
        out = squares > edge**2
        root = jax.lax.rsqrt(jnp.where(out, squares, 1))
        return jnp.where(out, edge * root * x, x), out, root

    def ratio(u, v):
        a, b = (1 - (w * w).sum(-1) for w in (u, v))
        d = ((u - v) ** 2).sum(-1)
        return 2 * d / (a * b), a, b

    @jax.custom_vjp
    def distance(u, v):
        t = ratio(inside(u)[0], inside(v)[0])[0]
        return jnp.log1p(t + jnp.sqrt(t * (t + 2) + 1e-6))

    def fwd(u, v):
        return distance.fun(u, v), (u, v)

    def bwd(res, g):
        u, v = res
        (p, *out_p), (q, *out_q) = inside(u), inside(v)
        t, a, b = ratio(p, q)
        s = jnp.sqrt(t * (t + 2) + 1e-6)
        dt = g * (1 + (t + 1) / s) / (1 + t + s)
        toward = (4 * dt / (a * b))[:, None] * (p - q)
        dp = toward + (2 * dt * t / a)[:, None] * p
        dq = toward if slip == "second point's sign" else -toward
        if slip != "ball's own factor":
            dq = dq + (2 * dt * t / b)[:, None] * q

        def back(x, d, out, root):
            unit = root * x
            across = edge * root * (d - unit * (unit * d).sum(-1, keepdims=True))
            return jnp.where(out & (slip != "put back into the ball"), across, d)

        return back(u, dp, *out_p), back(v, dq, *out_q)

    distance.defvjp(fwd, bwd)
    return distance, distance.fun
