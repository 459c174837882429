"""A sum over the wrong axes, a comparison that is off by one, casts in the backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.diagnosis.code.tracing import trace
from jaxninja.check.diagnosis.edits.axes import regrouped
from jaxninja.check.hints import say
from tests.check.subjects import ruled

X = np.array([[0.7, -1.9, 2.3, 0.1], [0.2, 1.1, -0.4, 0.9], [1.4, 0.3, -0.8, -0.2]])
X = X.astype(np.float32)


def softmax(x):
    return jax.nn.softmax(x)


def softmax_fwd(x):
    return softmax(x), softmax(x)


@pytest.mark.parametrize(
    ("total", "old"),
    [
        (lambda pg: pg.sum(0, keepdims=True), "axis 0"),
        (lambda pg: pg.sum(), "all axes"),
        (lambda pg: pg.sum(keepdims=True), "all axes"),
    ],
    ids=["other axis", "all axes", "all axes kept"],
)
def test_softmax_with_the_wrong_sum(total, old):
    def bwd(p, dy):
        return (p * (dy - total(p * dy)),)

    report = check_vjp(ruled(softmax, softmax_fwd, bwd, ()), X)
    assert report.hints[0].kind == "sum", report.table()
    wanted = say("other axes", what="sum", axes="axis 1", old=old)
    assert report.hints[0].change["edit"] == wanted
    assert report.hints[0].verified


def test_a_mean_over_the_wrong_axis():
    def centred(x):
        return x - x.mean(-1, keepdims=True)

    def bwd(_, dy):
        return (dy - dy.mean(0, keepdims=True),)

    report = check_vjp(ruled(centred, lambda x: (centred(x), None), bwd, ()), X)
    wanted = say("other axes", what="mean", axes="axis 1", old="axis 0")
    assert report.hints[0].change["edit"] == wanted


def test_a_mask_that_is_one_too_long():
    def masked(x, lengths):
        return jnp.where(jnp.arange(x.shape[1]) < lengths[:, None], x, 0) ** 2

    def bwd(res, dy):
        x, lengths = res
        mask = jnp.arange(x.shape[1]) <= lengths[:, None]
        return jnp.where(mask, 2 * x * dy, 0), None

    op = ruled(masked, lambda x, n: (masked(x, n), (x, n)), bwd, ())
    report = check_vjp(op, X, np.array([1, 3, 2]))
    changes = [hint.change for hint in report.hints if hint.change]
    assert say("instead", new="<", old="<=") in [change["edit"] for change in changes]


def test_a_leaf_that_casts_have_rounded_is_not_blamed():
    def plain(x, w):
        return x * w * jax.lax.rsqrt((x * x).mean(-1, keepdims=True))

    def bwd(res, dy):
        x, w = res
        wide, dxhat = x.astype(jnp.float32), (dy * w).astype(jnp.float32)
        r = jax.lax.rsqrt((wide * wide).mean(-1, keepdims=True))
        dw = (dy.astype(jnp.float32) * wide * r).sum(0)
        return (r * dxhat).astype(x.dtype), dw.astype(w.dtype)

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, X, np.array([1.2, 0.7, 0.9, 1.6], np.float32))
    assert [leaf.verdict for leaf in report.leaves] == ["fail", "ok"]
    assert {hint.leaf for hint in report.hints} == {"x"}, report.table()


def test_a_matrix_that_is_not_transposed_before_it_is_inverted():
    """`solve` puts a stop_gradient into the trace, which is no text of the user's."""

    def plain(A, b):
        return jnp.linalg.solve(A, b)

    def bwd(res, dy):
        A, y = res
        u = jnp.linalg.solve(2 * A, 2 * dy)
        return -jnp.outer(u, y), u

    op = ruled(plain, lambda A, b: (plain(A, b), (A, plain(A, b))), bwd, ())
    A = np.array([[2.0, 0.7, -0.3], [0.4, 1.5, 0.2], [-0.6, 0.1, 1.8]], np.float32)
    report = check_vjp(op, A, X[:, 0])
    changes = [hint.change for hint in report.hints if hint.change]
    edits = [(change["subject"], change["edit"]) for change in changes]
    assert ("2 * A", say("transpose operand", what="it")) in edits, report.table()
    assert "stop_gradient" not in report.explain()


def test_an_axis_is_split_the_other_way():
    program, _ = trace(lambda x: x.reshape(2, 3), jnp.arange(6.0))
    (edit,) = regrouped(program, 0)
    made = edit.make(program.run([np.arange(6.0)]))
    assert np.array_equal(made, np.arange(6.0).reshape(3, 2).T)
