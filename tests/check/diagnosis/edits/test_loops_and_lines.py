"""Mistakes in loops, in the taps of a filter, in what is counted and summed."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.scipy.linalg import solve_triangular

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.edits.loops import in_turns
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.diagnosis.explainers import diagnose
from jaxninja.check.hints import say
from tests.check.diagnosis.evidence import evidence

TAPS = (0.1, 0.5, 0.3)
LEVELS = (-0.5, 0.0, 0.5)


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


def onward_bwd(res, dy):
    """The adjoint of the recurrence goes through the rows as the recurrence does."""
    x, a = res
    h = recurrence(x, a)
    before = jnp.concatenate([jnp.ones_like(h[:1]), h[:-1]])

    def step(carry, turn):
        dh, da = carry
        dh = turn[0] + a * dh
        return (dh, da + dh * turn[1]), dh

    start = (jnp.zeros_like(a), jnp.zeros_like(a))
    (_, da), dx = lax.scan(step, start, (dy, before))
    return dx, da


def wave(x, rates):
    return lax.scan(lambda x, rate: (x + rate * jnp.sin(x), x), x, rates)


def moved(x, rates):
    return wave(x, rates)[0]


def added_bwd(res, dy):
    """What is carried back is added to what came."""
    x, rates = res

    def step(g, turn):
        before, rate = turn
        return g + (g + rate * jnp.cos(before) * g), g * jnp.sin(before)

    return lax.scan(step, dy, (wave(x, rates)[1], rates), reverse=True)


def heights(x, rates):
    def step(x, rate):
        new = x + rate * jnp.sin(x)
        return new, new * new

    return lax.scan(step, x, rates)[1]


def after_bwd(res, dy):
    """Each turn is differentiated at what it gave."""
    x, rates = res
    last, before = wave(x, rates)
    after = jnp.concatenate([before[1:], last[None]])

    def step(g, turn):
        dy, _, after, rate = turn
        g = g + 2 * after * dy
        return g + rate * jnp.cos(after) * g, g * jnp.sin(after)

    return lax.scan(step, jnp.zeros_like(x), (dy, before, after, rates), reverse=True)


def levels(x, s):
    return sum(
        jnp.where(x > c, w * x * s, 0) for c, w in zip(LEVELS, TAPS, strict=True)
    )


def levels_bwd(res, dy):
    """Of the slope in x the masks are forgotten."""
    (x, s), dx, ds = res, 0, 0
    for c, w in zip(LEVELS, TAPS, strict=True):
        above = x > c
        ds = ds + jnp.where(above, w * x * dy, 0)
        dx = dx + w * (s * dy)
    return dx, ds


def solved(a, b):
    return solve_triangular(a, b, lower=True)


def solved_bwd(res, dy):
    a, b = res
    db = solve_triangular(a, dy, lower=True)
    right = solve_triangular(a, dy, lower=True, trans=1)
    return -jnp.tril(right @ solved(a, b).T), db


MISTAKES = {
    "end": (recurrence, onward_bwd, ((5, 3), (3,)), "loop back"),
    "added": (moved, added_bwd, ((4,), (3, 4)), "leave out"),
    "after": (heights, after_bwd, ((4,), (3, 4)), "instead"),
    "masks": (levels, levels_bwd, ((4, 3), (4, 3)), "multiply"),
    "system": (solved, solved_bwd, ((3, 3), (3, 2)), "transpose operand"),
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
def test_what_none_of_these_fixes_is_not_said_to_be(case, x64):
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


def test_the_numbers_of_all_turns_of_a_line_are_listed():
    def edit(slot, number):
        what = say("leave out", what=f"/ {number}")
        return Edit(slot, lambda v: v[slot], what, "ratio", 1.6)

    both = list(in_turns([[edit(0, 2)], [edit(1, 1)], [edit(2, 1)]]))
    assert [e.what["what"] for e in both] == ["/ 2 and / 1"]


def test_the_rest_of_a_count_is_named(x64):
    def plain(x, n, k):
        return x * k + x**2 * (n - k)

    def bwd(res, dy):
        x, n, k = res  # noqa: RUF059  (the name is told)
        return dy * (k + 2 * x * k), None, None

    found = evidence(plain, lambda *a: (plain(*a), a), bwd, [(7,), 7, 7])
    first, *_ = diagnose(found)
    assert first.verified
    assert first.change["edit"] == say("instead", new="n - k", old="k")


def settled(a, x):
    """y = tanh(a y + x), by ten turns."""
    return lax.fori_loop(0, 10, lambda _, y: jnp.tanh(a * y + x), jnp.zeros_like(x))


def settled_bwd(res, dy):
    """The terms of the adjoint's series of the last three turns alone."""
    a, ys = res
    da, dx, dh = 0.0, 0.0, dy
    for t in (9, 8, 7):
        dh = dh * (1 - ys[t + 1] ** 2)
        da, dx, dh = da + dh * ys[t], dx + dh, dh * a
    return da, dx


def settled_fwd(a, x):
    ys = [jnp.zeros_like(x)]
    for _ in range(10):
        ys.append(jnp.tanh(a * ys[-1] + x))
    return ys[-1], (a, ys)


def test_a_series_that_ends_early_is_told_by_its_turn(x64):
    hints = diagnose(evidence(settled, settled_fwd, settled_bwd, ((4,), (4,))))
    assert [hint.kind for hint in hints] == ["term"]
    assert hints[0].statement["spot"]["turn"] == 7
    assert "in turn 7 of the 10 of its loop" in hints[0].sentence
