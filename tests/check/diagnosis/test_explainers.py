"""The hint engine names mistakes of a known kind at their line, and nothing else.

The mistakes of `mistakes.py` are written by hand; those of `mutated` by turning the
sign of one equation of a right backward, whichever it is.
"""

import inspect
from dataclasses import replace
from functools import wraps

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.constants import constant_name
from jaxninja.check.diagnosis.code.tracing import trace
from jaxninja.check.diagnosis.explainers import diagnose
from jaxninja.check.evidence import Evidence, Sample
from jaxninja.check.hints import Statement, say
from tests.check.diagnosis import mistakes
from tests.check.diagnosis.evidence import Subject, arguments, evidence, sample
from tests.check.diagnosis.mistakes import MISTAKES, NORM, Mistake


def of(mistake: Mistake):
    return evidence(mistake.plain, mistake.fwd, mistake.bwd, mistake.shapes)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.bwd.__name__)
def test_names_the_slip_at_its_line(mistake, x64):
    first = diagnose(of(mistake))[0]
    assert first.verified
    assert first.kind == mistake.kinds
    assert (mistake.code, mistake.fact) in Stated(first), Stated(first)
    assert first.where == f"mistakes.py:{marked_line(mistake.bwd)}"


class Stated:
    """What a hint states, by code, in its parts and its edit too."""

    def __init__(self, hint):
        waiting, self.parts = [hint.statement, hint.change], []
        while waiting:
            part = waiting.pop()
            if isinstance(part, Statement):
                facts = [value for _, value in part.facts]
                self.parts.append(
                    (part.code, [getattr(f, "quoted", str(f)) for f in facts])
                )
                waiting += facts

    def __contains__(self, wanted):
        code, fact = wanted
        return any(
            code == c and any(fact in text for text in facts) for c, facts in self.parts
        )

    def __repr__(self):
        return repr(self.parts)


def marked_line(function) -> int:
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if "# mistake" in line)


def test_says_nothing_of_a_right_backward(x64):
    found = diagnose(
        evidence(mistakes.norm, mistakes.norm_fwd, mistakes.norm_right, NORM)
    )
    assert found == []


def test_explains_each_wrong_leaf(x64):
    found = diagnose(
        evidence(mistakes.norm, mistakes.norm_fwd, mistakes.norm_two_mistakes, NORM)
    )
    kinds = {hint.leaf: hint.kind for hint in found[:2]}
    assert kinds == {"x": "sign", "beta": "ratio"}


def test_a_lost_path_comes_with_the_term_that_it_lacks(x64):
    mistake = next(s for s in MISTAKES if s.bwd is mistakes.norm_lost_mean)
    first = diagnose(of(mistake))[0]
    assert ("no path", "x.mean") in Stated(first)
    assert ("subtract", "mean(") in Stated(first)


def test_residuals_packed_in_another_order(x64):
    def right(res, dy):
        sin, cos = res
        return (dy[0] * cos - dy[1] * sin,)

    def fwd(x):
        return (jnp.sin(x), jnp.cos(x)), (jnp.cos(x), jnp.sin(x))

    hints = diagnose(evidence(mistakes.sincos, fwd, right, ((4, 3),)))
    assert hints[0].statement == say("residuals exchanged", one="sin", other="cos")
    assert hints[0].verified


def test_two_mistakes_in_one_gradient(x64):
    first = diagnose(
        evidence(mistakes.norm, mistakes.norm_fwd, mistakes.norm_two_in_one, NORM)
    )[0]
    assert first.verified
    # 1/n or mean in place of sum: the same
    assert ("multiply", "1/xhat.shape[1]") in Stated(first)
    assert ("instead", "-") in Stated(first)


def test_an_edit_that_no_fresh_sample_tests_only_looks_right(x64):
    mistake = next(s for s in MISTAKES if s.bwd is mistakes.linear_mean)
    given = of(mistake)
    subject = Subject(mistake.plain, mistake.fwd, mistake.bwd)

    def without_rows(seed):  # dw is zero on it, whatever it is divided by
        drawn = sample(subject, mistake.shapes, seed)
        still = jax.tree.map(jnp.zeros_like, drawn.dy)
        zeros = tuple(np.zeros_like(e) for e in drawn.expected)
        return replace(drawn, dy=still, got=zeros, expected=zeros)

    hints = diagnose(replace(given, resample=without_rows))
    assert hints
    assert not any(hint.verified for hint in hints)
    assert all(str(hint).startswith("Looks like") for hint in hints)


def test_numpy_backward_is_named_from_outside(x64):
    def fwd(x):
        y = np.tanh(np.asarray(x))
        return y, y

    def bwd(y, dy):
        return (np.asarray(dy) * (1 - y * y) * 2,)

    first = diagnose(evidence(mistakes.tanh, fwd, bwd, ((4, 3),)))[0]
    assert (first.kind, first.verified) == ("ratio", True)
    assert ("ratio", "2") in Stated(first)


def test_what_holds_on_one_sample_only_is_not_a_fact(x64):
    """A gradient that is twice the truth on the failing samples, but not elsewhere."""
    given = of(next(s for s in MISTAKES if s.bwd is mistakes.tanh_wrong_residual))
    first = given.samples[0]
    doubled = tuple(2 * e for e in first.expected)

    def call(residuals, dy):  # not traceable, and never the same
        np.asarray(dy)
        return doubled

    subject = Subject(mistakes.tanh, mistakes.tanh_fwd, call)
    odd = Sample(
        first.args, first.dy, first.residuals, doubled, first.expected, first.names
    )
    hints = diagnose(Evidence(subject, (odd,), given.resample))
    assert not any(h.verified and h.kind == "ratio" for h in hints)


def test_a_budget_of_nothing_tells_what_was_not_searched(x64):
    budget = Budget.of(0.0)
    assert isinstance(diagnose(of(MISTAKES[0]), budget), list)
    assert budget.unsearched[:2] == ["paths left out", "single edits of bwd"]
    assert list(Budget.of(60).during("ab", "letters")) == ["a", "b"]


def mutated(bwd, index):
    """bwd with the sign of its equation number `index` turned."""

    @wraps(bwd)
    def wrong(res, dy):
        closed, shape = jax.make_jaxpr(bwd, return_shape=True)(res, dy)
        jaxpr, leaves = closed.jaxpr, jax.tree.leaves((res, dy))
        env = dict(zip(jaxpr.invars, leaves, strict=True))
        for i, eqn in enumerate(jaxpr.eqns):
            ins = [v.val if isinstance(v, Literal) else env[v] for v in eqn.invars]
            out = eqn.primitive.bind(*ins, **eqn.params)
            env[eqn.outvars[0]] = -out if i == index else out
        outs = [env[v] for v in jaxpr.outvars]
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return wrong


@pytest.mark.parametrize("index", range(12))
def test_every_turned_sign_is_fixed(index, x64):
    wrong = mutated(mistakes.norm_right, index)
    given = evidence(mistakes.norm, mistakes.norm_fwd, wrong, NORM)
    first = diagnose(given)[0]
    assert first.verified
    assert first.edit is not None


@pytest.mark.parametrize(
    ("value", "name"),
    [(2.0, "2"), (-1.0, "-1"), (0.5, "1/2"), (7.0, "x.shape[0]"),
     (7 / 6, "n/(n-1), n = x.shape[0]"), (1 / 35, "1/x.size"), (1.234, None),
     (35**-0.5, "1/sqrt(x.size)"), (245**0.5, "sqrt(x.shape[0] * x.size)")],
)  # fmt: skip
def test_names_of_constants(value, name):
    assert (
        constant_name(value, {7: "x.shape[0]", 5: "x.shape[1]", 35: "x.size"}) == name
    )


def everything(x, w, i):
    """A function that uses many primitives, gathers and scatters among them."""
    a = jnp.where(x > 0, jnp.log1p(jnp.abs(x)), jnp.expm1(x)) ** 3
    b = jax.nn.gelu(a) @ w + jax.scipy.special.erf(x).sum(0)
    c = x[i].mean(0) + x[:, i].sum(1)[: x.shape[1]] + x.at[i].add(1.0).max(0)
    d = jnp.cumsum(x[::-1], 0) + jnp.roll(x, 1, 0) + jnp.pad(x, 1)[1:-1, 2:]
    e = jax.lax.dynamic_slice(x, (1, 0), (1, 2)).sum() + jnp.argmax(x) + x.T[0, 0]
    f = jnp.einsum("ij,kj->ki", x, d) @ jnp.sort(x, 0) + jnp.prod(x, 0)
    g = jnp.take_along_axis(x, i[:, None] % 2, axis=1) + jnp.clip(x, -0.5, 0.5)
    h = jax.nn.softmax(x) + jax.nn.logsumexp(x, 1, keepdims=True) + jnp.rint(x) % 2
    return b + c + d + e + f[: len(x)] + g + h + x.at[i, 0].set(0.5) + x.at[i].mul(2.0)


def test_numpy_twins_agree_with_jax(x64):
    x, w = arguments(((5, 5), (5, 5)), 3)
    i = jnp.asarray([0, 2, 2, 4, 1])
    program, _ = trace(everything, x, w, i)
    values = program.run([np.asarray(a) for a in (x, w, i)])
    np.testing.assert_allclose(
        values[program.outputs[0]], everything(x, w, i), rtol=1e-12
    )


def test_rerun_equals_a_run_from_the_start(x64):
    x, w = arguments(((5, 5), (5, 5)), 4)
    i = jnp.asarray([0, 2, 2, 4, 1])
    program, _ = trace(everything, x, w, i)
    values = program.run([np.asarray(a) for a in (x, w, i)])
    moved = program.rerun(values, program.inputs[1], 2 * values[program.inputs[1]])
    np.testing.assert_allclose(moved[0], everything(x, 2 * w, i), rtol=1e-12)


def test_casts_are_named_where_they_stand(x64):
    def sine_bwd(x, dy):
        return ((jnp.cos(x).astype(jnp.bfloat16) * dy).astype(x.dtype),)  # mistake

    first = diagnose(evidence(jnp.sin, lambda x: (jnp.sin(x), x), sine_bwd, [(3, 4)]))[
        0
    ]
    assert (first.kind, first.verified) == ("precision", True)
    assert first.where == f"test_explainers.py:{marked_line(sine_bwd)}"
    assert ("cast", "bfloat16") in Stated(first)


def test_two_paths_lost_together(x64):
    def plain(x):
        return (x - x.mean(0)) / jnp.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-3)

    def fwd(x):
        return plain(x), 1 / jnp.sqrt(x.var(0) + 1e-3)

    def constants(r, dy):
        return (r * dy,)

    first = diagnose(evidence(plain, fwd, constants, [(4, 3)]))[0]
    assert (first.kind, first.verified) == ("term", True)
    assert first.statement.code == "no path, two"


def test_a_diagonal_taken_for_the_jacobian(x64):
    def softmax(x):
        p = jnp.exp(x - x.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True)

    def elementwise(p, dy):
        return (p * (1 - p) * dy,)

    found = evidence(softmax, lambda x: (softmax(x),) * 2, elementwise, [(3, 4)])
    first = diagnose(found)[0]
    assert first.statement == say("diagonal", leaf="x")
    assert first.verified


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        (lambda dy: jnp.clip(dy, -0.1, 0.1), "other cotangent", "clip"),
        (jnp.abs, "other cotangent", "|{dy}|"),
        (lambda dy: dy * dy, "other cotangent", "{dy} * {dy}"),
        (lambda dy: dy + 0.3, "constant", "x"),
    ],
)
def test_the_line_at_which_linearity_ends(x64, change, code, fact):
    def sine_bwd(x, dy):
        slope = jnp.cos(x)
        other = change(dy)  # mistake
        return (slope * other,)

    given = evidence(jnp.sin, lambda x: (jnp.sin(x), x), sine_bwd, [(3, 4)])
    first = diagnose(given)[0]
    assert first.kind in ("cotangent", "affine")
    assert (code, fact) in Stated(first)
    file, line = first.where.split(":")
    table = inspect.getsourcelines(test_the_line_at_which_linearity_ends)[1]
    assert file == "test_explainers.py"  # at the mistake, or in the table's `change`
    assert table < int(line) <= marked_line(sine_bwd) + 1  # or where it is used


def test_of_a_difference_what_is_subtracted_is_told_apart(x64):
    def plain(x):
        return jnp.exp(x) * (2 * x + 1 - x)

    def bwd(x, dy):
        return (dy * jnp.exp(x) * (2 * x + 1 - x) + 2 * dy * jnp.exp(x),)

    first, *_ = diagnose(evidence(plain, lambda x: (plain(x), x), bwd, [(5,)]))
    assert first.statement.code == "no path"
    assert first.statement["spot"].code == "subtracted"


def test_no_warning_of_an_edit_reaches_the_user(x64, recwarn):
    """Nor ends it the search where warnings are errors: of a singular matrix here."""

    def bwd(a, dy):
        return (-jnp.linalg.solve(a.T @ a, dy),)

    given = evidence(
        lambda a: jnp.linalg.solve(a.T @ a + jnp.eye(3), a),
        lambda a: (jnp.linalg.solve(a.T @ a + jnp.eye(3), a), a),
        bwd,
        [(3, 3)],
    )
    diagnose(given)
    assert not [str(w.message) for w in recwarn]
