"""Mistakes in a part of a value, in several uses of one, in each turn of a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.fresh_samples import unseen
from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.edits.repairs import repair
from jaxninja.check.diagnosis.explainers import diagnose
from jaxninja.check.hints import Statement
from tests.check.diagnosis.evidence import evidence
from tests.check.subjects import ruled

STEPS, SIZE = 3, 0.1


def between(x, y, s, t):
    return x * (1 - s) * t + y * s * (1 - t)


def between_bwd(res, dy):
    x, y, s, t = res
    w = s  # mistake: t
    ds = dy * (y * (1 - w) - x * w)
    return dy * (1 - s) * t, dy * s * (1 - t), ds, dy * (x * (1 - s) - y * s)


def kicks(q, p):
    for _ in range(STEPS):
        p = p + SIZE * jnp.sin(q)
        q = q + SIZE * p
        p = p + SIZE * jnp.sin(q)
    return q, p


def kicks_bwd(res, dy):
    """Of the second kick the force is taken to depend on no position."""

    def taken_so(q, p):
        for _ in range(STEPS):
            p = p + SIZE * jnp.sin(q)
            q = q + SIZE * p
            p = p + SIZE * jnp.sin(jax.lax.stop_gradient(q))
        return q, p

    return jax.vjp(taken_so, *res)[1](dy)


def trapezoid(x):
    return x.sum(1) - (x[:, 0] + x[:, -1]) / 2


def trapezoid_bwd(res, dy):
    (x,) = res
    return (jnp.broadcast_to(dy[:, None], x.shape) * 1.0,)  # mistake: half at the ends


def rows(x, w):
    return (x[:, :, None] * w).sum(1)


def rows_bwd(res, dy):
    x, w = res
    dw = (x[:1, :, None] * dy[:, None]).sum(0)  # mistake: x
    return (dy[:, None] * w).sum(-1), dw


CASES = [
    (between, between_bwd, [(4,)] * 4, "fixed", "t in place of s"),
    (kicks, kicks_bwd, [(4,)] * 2, "no path", "jnp.sin(q)"),
    (trapezoid, trapezoid_bwd, [(3, 5)], "multiply part", "the two ends along axis 1"),
    (rows, rows_bwd, [(4, 3), (3, 5)], "one for all", "along axis 0"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_names_what_is_wrong(case, x64):
    plain, bwd, shapes, code, fact = case
    first = diagnose(evidence(plain, lambda *a: (plain(*a), a), bwd, shapes))[0]
    said = f"{first.sentence} {first.edit or ''}"
    assert first.verified
    assert code in [*codes(first.statement), *codes(first.change)]
    assert fact in said, said


def codes(statement: Statement | None) -> list[str]:
    if statement is None:
        return []
    parts = [fact for _, fact in statement.facts if isinstance(fact, Statement)]
    return [statement.code, *(code for part in parts for code in codes(part))]


def test_one_fix_is_told_in_one_wording(x64):
    """To transpose a transposed matrix is to leave the transposition out."""

    def plain(x, w):
        return jnp.tanh(x * jnp.exp(w))

    def bwd(res, dy):
        x, w, y = res
        d = dy * (1 - y * y)
        return d * jnp.exp(w.T), x * d * jnp.exp(w)

    def fwd(x, w):
        return plain(x, w), (x, w, plain(x, w))

    found = evidence(plain, fwd, bwd, [(3, 3)] * 2)
    (problem,) = problems(found)
    fresh = unseen(problem, found)
    fixes = repair(problem, fresh, Budget.of(5), Elsewhere(found, problem))
    assert [fix.subject for fix in fixes].count("w.T") == 1


def padded(table, ids):
    """The sum of the rows with an index; below 0 there is none."""
    rows = table[jnp.maximum(ids, 0)]
    return jnp.where((ids >= 0)[..., None], rows, 0.0).sum(-2)


def padded_bwd(res, dy):
    table, ids = res
    d = jnp.broadcast_to(dy[..., None, :], ids.shape + dy.shape[-1:])
    return jnp.zeros_like(table).at[jnp.maximum(ids, 0)].add(d), None


def test_an_index_below_zero_is_counted_from_the_end_by_who_writes_it(x64):
    """`.at[ids]` would add what belongs to no row to the last one."""
    ids = jnp.array([[0, 2, -1], [5, -1, -1], [3, 3, 1]])
    op = ruled(padded, lambda *a: (padded(*a), a), padded_bwd, ())
    report = check_vjp(op, np.random.default_rng(0).normal(size=(6, 3)), ids)
    assert report.hints
    assert "ids in place of" not in " ".join(h.edit or h.sentence for h in report.hints)
