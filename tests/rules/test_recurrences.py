"""Recurrences: both ways of computing, going on from a state, chunks, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled
from jaxninja.rules import RULES, blocking, gru, linear_recurrence, lstm, rnn
from jaxninja.rules.sequence import linear_recurrence as page

CELLS = pytest.mark.parametrize("op", [rnn, gru, lstm], ids=lambda op: op.__name__)


def example(op, *sizes):
    rule = next(rule for rule in RULES if rule.op is op)
    return drawn(lambda key: rule.example(key, *sizes), 0, {})


def agree(got, expected, tolerance=1e-12):
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        g, e = np.asarray(g), np.asarray(e)
        np.testing.assert_allclose(g, e, rtol=0, atol=tolerance * abs(e).max())


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_steps_one_by_one_and_joined_are_the_same(parallel, dtype, monkeypatch, x64):
    """Sizes of their own: what was compiled for a size is not compiled again."""
    sizes = 9 + parallel, 2, 3
    wide = [np.asarray(a).astype(dtype) for a in example(linear_recurrence, *sizes)]
    if dtype == "complex128":
        wide = [a + 0.3j * a[..., ::-1] for a in wide]
    monkeypatch.setattr(blocking, "in_parallel", lambda: parallel)

    def run(f):
        def both(*arrays):
            h, pull = jax.vjp(f, *arrays)
            return h, pull(jnp.cos(h))

        return compiled(both)(*wide)

    agree(run(linear_recurrence), run(page.plain))
    text = str(jax.make_jaxpr(linear_recurrence.fwd)(*wide))
    assert ("scan" in text) is not parallel


@CELLS
def test_a_sequence_in_two_parts_goes_on_from_the_state(op, x64):
    x, h0, *rest = (np.asarray(a).astype(float) for a in example(op, 5, 2, 3, 4))

    def parts(x, h0, *rest):
        first = op(x[:2], h0, *rest)
        if op is lstm:
            (h, c), rest = first, rest[1:]
            more, last = op(x[2:], h[-1], c, *rest)
            return jnp.concatenate([h, more]), last
        return jnp.concatenate([first, op(x[2:], first[-1], *rest)])

    agree(compiled(parts)(x, h0, *rest), compiled(op)(x, h0, *rest))


@CELLS
def test_a_chunk_keeps_the_states_before_chunks_and_no_steps(op):
    arrays = example(op, 7, 2, 3, 5)
    res = jax.eval_shape(lambda *a: op.fwd(*a, 3)[1], *arrays)
    assert {s.shape for s in res.starts} == {(3, 2, 5)}
    assert (res.h, res.kept) == (None, None)
    whole = jax.eval_shape(lambda *a: op.fwd(*a, 99)[1], *arrays)
    assert {s.shape for s in whole.starts} == {(1, 2, 5)}


@CELLS
def test_a_batch_may_have_any_axes(op, x64):
    """None, as vmap has it; the weights are the same."""
    arrays = [np.asarray(a).astype(float) for a in example(op, 4, 1, 2, 3)]
    states = 3 if op is lstm else 2
    alone = [a[..., 0, :] for a in arrays[:states]] + arrays[states:]
    axes = tuple(a.ndim - 2 for a in arrays[:states])
    grad = jax.grad(lambda *a: jnp.sin(jax.tree.leaves(op(*a))[0]).sum(), (0, 1))
    both = compiled(lambda *of: [grad(*arrays) for arrays in of])(alone, arrays)
    for g, e, axis in zip(*both, axes, strict=False):
        agree(g, e.squeeze(axis))


BAD = [
    (0, jnp.ones(3), r"x is of shape \(3,\), expected \[T, \*batch, D\]"),
    (0, jnp.ones((0, 2, 3)), r"x is of shape \(0, 2, 3\)"),
    (0, jnp.ones((5, 2, 3), int), "x is of type int32"),
    (1, jnp.ones((3, 4)), r"h0 is of shape \(3, 4\), expected \[2, 4\]"),
    (1, jnp.ones((2, 4), jnp.bfloat16), "h0 is of type bfloat16.* float32"),
    (-1, jnp.ones(5), r"b[xh]? is of shape \(5,\), expected \[\d+\]"),
    ("Wx", jnp.ones((3, 5)), r"Wx is of shape \(3, 5\), expected \[3, \d+\]"),
    ("Wh", jnp.ones((4, 5)), r"Wh is of shape \(4, 5\), expected \[H, \d H\]"),
    ("Wh", jnp.ones(()), r"Wh is of shape \(\), expected \[H, \d H\]"),
    ("chunk", 0, "chunk is 0"),
    ("chunk", 2.0, "chunk is 2.0"),
]


@CELLS
@pytest.mark.parametrize(("place", "value", "text"), BAD)
def test_bad_input_is_refused_with_a_sentence(op, place, value, text):
    """Of fwd, which alone runs under grad; it has no annotations to fire first."""
    arrays, chunk = [*example(op, 5, 2, 3, 4)], None
    first = 3 if op is lstm else 2
    if place == "chunk":
        chunk = value
    else:
        arrays[{"Wx": first, "Wh": first + 1}.get(place, place)] = value
    with pytest.raises(ValueError, match=f"{op.__name__}: {text}"):
        jax.eval_shape(lambda: op.fwd(*arrays, chunk))


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (0, jnp.ones((4, 2)), r"a is of shape \(4, 2\), expected \[5, 2\]"),
        (0, jnp.ones((5, 2), int), "a is of type int32"),
        (0, jnp.ones((5, 2), jnp.bfloat16), "a is of type bfloat16.* float32"),
        (1, jnp.ones(()), r"x is of shape \(\), expected \[T, \*batch\]"),
        (2, jnp.ones(3), r"h0 is of shape \(3,\), expected \[2\]"),
    ],
)
def test_bad_input_of_the_linear_recurrence(place, value, text):
    arrays = [jnp.ones((5, 2)), jnp.ones((5, 2)), jnp.ones(2)]
    arrays[place] = value
    with pytest.raises(ValueError, match=text):
        linear_recurrence.fwd(*arrays)


def test_bad_input_is_told_under_jit_and_grad():
    _, h0, *rest = example(rnn, 5, 2, 3, 4)
    for f in (
        jax.jit(lambda x: rnn.fwd(x, h0, *rest, None)[0]),
        jax.grad(lambda x: rnn(x, h0, *rest).sum()),
    ):
        with pytest.raises(ValueError, match=r"rnn: x is of shape \(3,\), expected"):
            f(jnp.ones(3))
