"""Sizes at which a forward runs, and for which it was not written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.reading import reads_alike, writes_twice
from jaxninja.check.subject.adapters import Normalised
from tests.check.subjects import ruled


def drawn(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


LABELS = np.array([1, 6, 0, 3, 3])


def mean_of_picked(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -logp[jnp.arange(len(labels)), labels].mean()


def cross_entropy(count):
    """Written for as many labels as rows; `count` is what it divides by."""

    def forward(logits, labels):
        return mean_of_picked(logits, labels), (jax.nn.log_softmax(logits), labels)

    def backward(res, dy):
        logp, labels = res
        hits = jnp.exp(logp).at[jnp.arange(len(labels)), labels].add(-1)
        return dy * hits / count(logp), None

    return ruled(mean_of_picked, forward, backward, ())


def first_columns(x, w):
    return x[:, :2] @ w


def every_other(x, w):
    return x[: len(x) // 2 * 2 : 2] @ w


def causal(q, k):
    """Scores under a mask that lets the last query see all keys."""
    s = q @ k.T
    seen = jnp.tril(jnp.ones(s.shape, bool), len(k) - len(q))
    return jax.nn.softmax(jnp.where(seen, s, -1e30), -1) @ k


GIVEN = drawn(5, 7), LABELS
PAIR = drawn(4, 2), drawn(2, 3)


@pytest.mark.parametrize(
    ("op", "given", "guessed", "alike"),
    [
        (mean_of_picked, GIVEN, GIVEN, True),
        (mean_of_picked, GIVEN, (drawn(8, 7), LABELS), False),  # three rows unread
        (mean_of_picked, GIVEN, (drawn(4, 7), LABELS), False),  # the fifth of four is
        (first_columns, PAIR, (drawn(6, 2), drawn(2, 9)), True),
        (every_other, PAIR, (drawn(5, 2), drawn(2, 3)), True),
        (first_columns, PAIR, (drawn(4, 5), drawn(2, 3)), False),
        (causal, (drawn(4, 2),) * 2, (drawn(5, 2), drawn(7, 2)), True),
        (causal, (drawn(4, 2),) * 2, (drawn(7, 2), drawn(5, 2)), False),  # sees none
    ],
)
def test_what_is_read_at_given_sizes_is_read_at_guessed_ones(op, given, guessed, alike):
    rule = ruled(op, lambda *a: (op(*a), a), lambda r, g: r, ())
    there, here = (Normalised(rule, None)(args) for args in (given, guessed))
    assert reads_alike(there, here) is alike


@pytest.mark.parametrize(("axis", "right"), [(0, True), (1, False)])
def test_rows_without_a_label_fail_no_rule(axis, right):
    op = cross_entropy(lambda logp: logp.shape[axis])
    report = check_vjp(op, drawn(5, 7), LABELS, edges=False, hints=False)
    assert report.ok is right
    assert any("unread" in text for text in report.not_tested)


@pytest.mark.parametrize(("moved", "twice"), [([3, 1, 5], False), ([1, 1, 5], True)])
def test_what_is_written_twice_to_one_entry(moved, twice):
    """JAX promises no order of `x.at[i].set(y)` at indices that are equal."""

    def op(x, i):
        return jnp.zeros(6).at[i].set(x)

    rule = ruled(op, lambda x, i: (op(x, i), i), lambda i, g: (g[i], None), ())
    there, here = (
        Normalised(rule, None)((drawn(3), np.array(i))) for i in ([0, 3, 5], moved)
    )
    assert writes_twice(there, here) is twice
    report = check_vjp(rule, drawn(3), np.array([0, 3, 5]), edges=False, hints=False)
    assert not [leaf for leaf in report.leaves if leaf.sample.endswith("draw")]


@pytest.mark.parametrize("slip", [0, 1])
def test_labels_that_ascend_to_the_number_of_rows_by_chance(slip):
    """They look like bounds of segments of the rows, and are none: 7 is no class."""

    def aim(logits, labels):
        return jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)

    def plain(logits, labels):
        return -(aim(logits, labels) * jax.nn.log_softmax(logits)).sum(-1)

    def bwd(args, g):
        logits, labels = args
        p = jax.nn.softmax(logits) * (1 + slip * (jnp.arange(len(logits)) > 3)[:, None])
        return g[:, None] * (p - aim(logits, labels)), None

    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    logits = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    report = check_vjp(op, logits, np.int32([0, 0, 2, 4]), hints=False)
    assert report.ok == (not slip), report.table()
