"""Losses of policies, world models, embeddings and unbalanced labels."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def policy_args(rng):
    actions = integers(rng, 4, 6)
    return normal(rng, 6, 4), actions, normal(rng, 6), jnp.ones(6), 0.01


def short_policy_args(rng):
    *rest, mask, _ = policy_args(rng)
    return *rest, mask.at[4:].set(0.0), 0.3


@case(
    "policy gradient with an entropy bonus in rlax",
    "loss",
    policy_args,
    Twin(
        "entropy's sign",
        "sign|term|path|ratio",
        "logits",
        "The bonus is subtracted in the backward.",
    ),
    Twin(
        "mean over all steps",
        "ratio|factor|mask|region|sum|operand",
        "logits",
        "Over the number of steps, not over those that count.",
        witness=short_policy_args,
    ),
    Twin(
        "row term of the entropy",
        "term|path|factor|operand|option",
        "logits",
        "The entropy's gradient is taken as -p log p without the row's own entropy.",
    ),
    options=lambda plain: {"nondiff": ("advantages", "mask")},
    fixed=(3,),
)
def entropy_policy_gradient(slip):
    def plain(logits, actions, advantages, mask, bonus):
        logp = jax.nn.log_softmax(logits)
        chosen = jnp.take_along_axis(logp, actions[:, None], 1)[:, 0]
        entropy = -(jnp.exp(logp) * logp).sum(-1)
        terms = (chosen * advantages + bonus * entropy) * mask
        return -terms.sum() / jnp.maximum(mask.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(logits, actions, advantages, mask, bonus):
        out = plain(logits, actions, advantages, mask, bonus)
        return out, (jax.nn.log_softmax(logits), actions, advantages, mask)

    def bwd(bonus, res, g):
        logp, actions, advantages, mask = res
        p = jnp.exp(logp)
        hot = jax.nn.one_hot(actions, p.shape[1], dtype=p.dtype)
        entropy = -(p * logp).sum(-1, keepdims=True)
        entropy = 0 if slip == "row term of the entropy" else entropy
        dentropy = -p * (logp + entropy)
        dentropy = -dentropy if slip == "entropy's sign" else dentropy
        count = jnp.maximum(mask.sum(), 1)
        count = len(mask) if slip == "mean over all steps" else count
        terms = advantages[:, None] * (hot - p) + bonus * dentropy
        dlogits = -g * mask[:, None] * terms / count
        return dlogits, None, jnp.zeros_like(advantages), jnp.zeros_like(mask)

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "redundancy reduction (Barlow twins) in flax",
    "contrastive loss",
    lambda rng: (normal(rng, 6, 3), normal(rng, 6, 3), 0.01),
    Twin(
        "off-diagonal weight",
        "option|ratio|factor|operand|mask|term",
        "a b",
        "Every entry is weighed as on the diagonal.",
    ),
    Twin(
        "correlation transposed",
        "transpose|operand|swap",
        "a",
        "da takes dC where it needs dC's transpose.",
    ),
    Twin(
        "standardising held fixed",
        "term|path|factor",
        "a",
        "Means and deviations of a have no gradient.",
    ),
)
def redundancy_reduction(slip):
    def standard(x):
        centred = x - x.mean(0)
        root = lax.rsqrt((centred**2).mean(0) + 1e-5)
        return centred * root, root

    def plain(a, b, off):
        c = standard(a)[0].T @ standard(b)[0] / len(a)
        eye = jnp.eye(len(c), dtype=c.dtype)
        return (jnp.where(eye == 1, 1, off) * (c - eye) ** 2).sum()

    def pulled(dn, normed, root):
        inner = normed * (dn * normed).mean(0)
        return root * (dn - dn.mean(0) - inner)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(a, b, off):
        return plain(a, b, off), (a, b)

    def bwd(off, res, g):
        (u, a_root), (v, b_root) = (standard(x) for x in res)
        c = u.T @ v / len(u)
        eye = jnp.eye(len(c), dtype=c.dtype)
        weights = jnp.where(eye == 1, 1, off)
        if slip == "off-diagonal weight":
            weights = jnp.ones_like(c)
        dc = 2 * g * weights * (c - eye) / len(u)
        du = v @ (dc if slip == "correlation transposed" else dc.T)
        da = pulled(du, u, a_root)
        da = a_root * du if slip == "standardising held fixed" else da
        return da, pulled(u @ dc, v, b_root)

    loss.defvjp(fwd, bwd)
    return loss, plain
