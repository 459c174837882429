"""Which sizes the arguments of a bare function are tried at, and what is told of those
that stay as they are."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.sizes import other_sizes
from jaxninja.check.subject.adapters import subject_of
from tests.check.subjects import ruled


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def found_for(plain, *args):
    def bwd(args, g):
        return jax.vjp(plain, *args)[1](g)

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    return other_sizes(*subject_of(op, args))


def attention(q, k, v):
    return jnp.tanh(q @ k.T) @ v


def strided(x, w):
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=axes)


def in_two_heads(x):
    return x.reshape(len(x), 2, x.shape[1] // 2).sum(1)


def summed(x, A):
    return (x @ A).sum()


SQUARE = np.eye(4, dtype=np.float32) + 0.1

# plain forward, arguments, the shapes that come first
CASES = {
    "equal sizes": (
        attention, (normal(5, 4), normal(5, 4), normal(5, 4)),
        ((8, 6), (7, 6), (7, 9)),
    ),
    "a batch of one": (
        lambda x, b: jnp.sin(x + b), (normal(1, 4), normal(4)), ((3, 5), (5,))
    ),
    "a stride, and a size by chance": (
        strided, (normal(1, 8, 8, 1), normal(3, 3, 1, 4)),
        ((2, 11, 11, 6), (9, 5, 6, 7)),
    ),
    "heads that share keys": (
        lambda q, k: q * jnp.repeat(k, len(q) // len(k), 0),
        (normal(4, 3), normal(4, 3)), ((10, 7), (5, 7)),
    ),
    "what must be even": (in_two_heads, (normal(3, 8),), ((5, 16),)),
    "large ones": (attention, (normal(64, 32),) * 3, ((17, 13), (11, 13), (11, 19))),
    "integers keep their range": (
        lambda W, i: W[i], (normal(64, 8), np.array([3, 63, 1])), ((67, 11), (5,))
    ),
    "what must stay square": (summed, (normal(4), SQUARE), ((5,), (5, 5))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_sizes_that_come_first(name):
    plain, args, shapes = CASES[name]
    found, missing = found_for(plain, *args)
    assert found[0] == shapes
    assert not missing


def test_a_table_that_the_forward_brings_along_leaves_no_other_sizes():
    table = normal(3, 4)
    found, missing = found_for(lambda x: x * table, normal(3, 4))
    assert found == []
    assert "x axis 0 (3), x axis 1 (4): " in missing[0]


def columns_of_q(args, g):
    """Right for as many columns of v as q has."""
    q, k, v = args
    t, d = jnp.tanh(q @ k.T), q.shape[1]
    ds = (g[:, :d] @ v[:, :d].T) * (1 - t * t)
    return ds @ k, ((g @ v.T) * (1 - t * t)).T @ q, t.T @ g


def mean_for_sum(args, g):
    """Right for one row."""
    d = g * jnp.cos(args[0] + args[1])
    return d, d.mean(0)


MISSED = {
    "as many columns": (attention, columns_of_q, (normal(5, 4),) * 3),
    "one row": (
        lambda x, b: jnp.sin(x + b), mean_for_sum, (normal(1, 4), normal(4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSED)
def test_what_is_right_for_the_given_sizes_only(name):
    plain, wrong, args = MISSED[name]
    op = ruled(plain, lambda *a: (plain(*a), a), wrong, ())
    assert check_vjp(op, *args, edges=False, hints=False).verdict == "fail"


def test_equal_sizes_that_the_rule_wants_stay_equal_and_are_told():
    """The forward would take a query more than there are keys."""

    def plain(q, k):
        return jnp.diagonal(q @ k.T).sum()

    def bwd(args, g):
        q, k = args
        if len(q) != len(k):
            raise ValueError("as many keys as queries, please")
        return g * k, g * q

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, normal(5, 4), normal(5, 4, seed=1), edges=False)
    assert report.ok, report.table()
    said = [text for text in report.not_tested if "as many keys" in text]
    assert len(said) == 1
    assert "give inputs=" in said[0]


@pytest.mark.parametrize("factor", [1, 2])
def test_integers_beyond_a_size_that_was_made_smaller(factor):
    """They are compared with positions, and those beyond the last one reach none; what
    the rule looks up for them there is nobody's business."""

    def plain(start, index, parts):
        here = index == jnp.arange(len(start))[:, None]
        return start + jnp.where(here, parts * parts, 0).sum(1)

    def bwd(args, g):
        start, index, parts = args
        alone = factor if len(start) == 1 else 1
        return g, None, 2 * alone * parts * g[index]

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    index = np.array([2, 0, 1, 1, 2, 0])
    report = check_vjp(op, normal(3), index, normal(6), edges=False, hints=False)
    assert report.ok == (factor == 1), report.table()


def test_an_axis_that_labels_divide_stays_and_is_told():
    def scaled(x, scales, labels):
        return x * scales[jnp.array(labels)]

    def bwd(labels, args, g):
        return jax.vjp(lambda x, s: scaled(x, s, labels), *args)[1](g)

    op = ruled(scaled, lambda x, s, labels: (scaled(x, s, labels), (x, s)), bwd, (2,))
    args = normal(4, 3), normal(2), (0, 1, 1)
    shapes, told = other_sizes(*subject_of(op, args))
    assert {scales for _, scales in shapes} == {(2,)}
    (text,) = (t for t in told if "labels of a static option" in t)
    assert "scales axis 0 (2)" in text


def test_what_is_written_for_three_channels_is_not_tried_with_one():
    """The rule refuses four of them, and would broadcast a single one to three."""

    def plain(alpha, colours):
        return alpha[:, None] * colours + (1 - alpha[:, None])

    def bwd(args, g):
        alpha, colours = args
        white = jnp.broadcast_to(jnp.ones(3, g.dtype), (len(alpha), 3))
        return ((colours - white) * g).sum(1), alpha[:, None] * g

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    colours = normal(3, 3, seed=1)
    report = check_vjp(op, normal(3), colours, edges=False, hints=False)
    assert report.ok, report.table()


@pytest.mark.parametrize("corners", [[0, 1, 2], [0, 2]])
def test_columns_that_the_forward_names_one_by_one_are_all_there_are(corners):
    """Of five columns it would look at the same three."""

    def plain(v, faces):
        return sum(v[faces[:, j]] for j in corners)

    faces = np.array([[0, 1, 2], [1, 2, 3], [3, 4, 0], [4, 2, 1]])
    shapes, _ = found_for(plain, normal(5, 2), faces)
    assert shapes
    assert all(of_faces[1] == 3 for _, of_faces in shapes) == (len(corners) == 3)


@pytest.mark.parametrize("product", [lambda v: v[0] * v[1], lambda v: v[1:] @ v[:-1]])
def test_two_entries_with_names_are_all_there_are_though_a_sum_reads_the_whole(product):
    def plain(x, v):
        return x * ((v * v).sum() - product(v))

    shapes, _ = found_for(plain, normal(4), normal(2))
    assert shapes
    assert all(of_v == (2,) for _, of_v in shapes) == (product(np.ones(3)) == 1)


def test_sizes_at_which_tracing_takes_ever_longer_are_not_tried():
    """A forward that lists all orders of n rows would list 14! of them in the end."""
    tried = []

    def plain(x, y):
        tried.append(len(x))
        end = time.process_time() + (0.3 if len(x) > 4 else 0)
        while time.process_time() < end:
            pass
        return x * y

    found_for(plain, normal(4), normal(4))
    assert max(tried) == 5


def test_a_trace_that_jax_remembers_is_no_measure_of_others():
    """A forward of many steps takes long at every size, and is traced at some."""

    def plain(x, y):
        end = time.process_time() + 0.12
        while time.process_time() < end:
            pass
        return jnp.outer(x, y)

    op = ruled(plain, lambda *a: (plain(*a), a), lambda a, g: (g @ a[1], a[0] @ g), ())
    subject, arrays = subject_of(op, (normal(4), normal(5)))
    jax.make_jaxpr(subject.plain)(*arrays)
    (first, *_), missing = other_sizes(subject, arrays)
    assert first == ((7,), (6,))
    assert not missing


def test_a_column_that_meets_wider_ones_stays_one_column():
    """Of more coordinates, p[:, 2:] would be several."""

    def plain(x, r):
        p = x @ r.T
        return p[:, :2] / p[:, 2:]

    found, missing = found_for(plain, normal(5, 4), normal(3, 4))
    assert found[0] == ((7, 6), (3, 6))
    assert missing[0].startswith("other sizes of r axis 0 (3): ")
    apart = found_for(lambda x: x[:, 1:] - x[:, :1], normal(5, 3))[0]
    assert apart[0] == ((7, 4),)
