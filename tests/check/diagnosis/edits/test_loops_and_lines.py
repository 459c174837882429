"""Mistakes in loops, in the taps of a filter, in what is counted and summed."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.explainers import diagnose
from tests.check.diagnosis.evidence import evidence

TAPS = (0.1, 0.5, 0.3)


def recurrence(x, a):
    def step(h, u):
        h = a * h + u
        return h, h

    return lax.scan(step, jnp.ones_like(a), x)[1]


def recurrence_bwd(decays, accumulates):
    def bwd(res, dy):
        x, a = res
        h = recurrence(x, a)
        before = jnp.concatenate([jnp.ones_like(h[:1]), h[:-1]])

        def step(carry, turn):
            dh, da = carry
            g, b = turn
            dh = dh + g
            more = dh * b
            da = da + more if accumulates else more
            return (dh * a if decays else dh, da), dh

        start = (jnp.zeros_like(a), jnp.zeros_like(a))
        (_, da), dx = lax.scan(step, start, (dy, before), reverse=True)
        return dx, da

    return bwd


def smooth(x):
    padded = jnp.pad(x, ((0, 0), (1, 1)))
    n = x.shape[1]
    return sum(w * padded[:, i : i + n] for i, w in enumerate(TAPS))


def smooth_bwd(res, dy):
    padded = jnp.pad(dy, ((0, 0), (1, 1)))
    n = dy.shape[1]
    return (sum(w * padded[:, i : i + n] for i, w in enumerate(TAPS)),)


def kept_mean(x):
    kept = x > 0
    return x - kept * jnp.where(kept, x, 0).sum() / kept.sum()


def kept_mean_bwd(res, dy):
    kept = res[0] > 0
    return (dy - kept * (kept * dy).sum() / dy.size,)


def by_group(x, ids):
    e = jnp.exp(x)
    return e / jax.ops.segment_sum(e, ids, 3)[ids]


def by_group_bwd(res, dy):
    p = by_group(*res)
    return p * (dy - (p * dy).sum()), None


def centred(x):
    return jnp.maximum(x - x.mean(), 0)


def softmax_bwd(res, dy):
    p = centred(*res)
    return (p * (dy - (p * dy).sum()),)


def running(x):
    return jnp.exp(lax.cumsum(x, 0))


def running_bwd(res, dy):
    (x,) = res
    g = running(x) * dy
    return (jnp.flip(jnp.cumsum(jnp.flip(g, 1), 1), 1),)


MISTAKES = {
    "decay": (recurrence, recurrence_bwd(0, 1), ((5, 3), (3,)), "multiply operand"),
    "last turn": (
        recurrence,
        recurrence_bwd(1, 0),
        ((5, 3), (3,)),
        "summed over turns",
    ),
    "taps": (smooth, smooth_bwd, ((3, 6),), "reverse order"),
    "count": (kept_mean, kept_mean_bwd, ((7,),), "instead"),
    "groups": (by_group, by_group_bwd, ((9,), 9), "per group"),
    "softmax's": (centred, softmax_bwd, ((6,),), "borrowed"),
    "axis": (running, running_bwd, ((4, 5),), "along axis"),
}


def stated(hint) -> set[str]:
    codes, waiting = set(), [hint.statement, hint.change]
    while waiting:
        part = waiting.pop()
        if hasattr(part, "facts"):
            codes.add(part.code)
            waiting += [value for _, value in part.facts]
    return codes


@pytest.mark.parametrize("case", MISTAKES)
def test_is_named(case, x64):
    plain, bwd, shapes, code = MISTAKES[case]
    found = diagnose(
        evidence(plain, lambda *a: (plain(*a), a), bwd, shapes), Budget.of(30)
    )
    assert found, case
    assert found[0].verified
    assert code in stated(found[0]), found[0].lines()


@pytest.mark.parametrize("case", ["decay", "taps", "softmax's"])
def test_what_none_of_these_mends_is_not_said_to_be(case, x64):
    plain, _, shapes, code = MISTAKES[case]

    def bwd(res, dy):
        true = zip(jax.vjp(plain, *res)[1](dy), res, strict=True)
        return tuple(g * jnp.cos(g + 0.3) + dy.sum() * jnp.sin(3 * x) for g, x in true)

    found = diagnose(evidence(plain, lambda *a: (plain(*a), a), bwd, shapes))
    assert not [hint for hint in found if hint.verified and code in stated(hint)]
    right = diagnose(
        evidence(plain, lambda *a: (plain(*a), a), true_bwd(plain), shapes)
    )
    assert right == []


def true_bwd(plain):
    return lambda res, dy: jax.vjp(plain, *res)[1](dy)
