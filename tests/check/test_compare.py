"""The comparison: scale-aware, never broadcasting, NaN never equal."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check import compare_grads
from jaxninja.check.compare import difference


def test_the_line_is_the_lectures():
    line = str(compare_grads([np.ones(3)], [np.ones(3)], names=["dh"]))
    assert line == (
        "dh              | exact: True  | approximate: True  | maxdiff: 0.0"
    )


def test_rounding_agrees_and_a_digit_does_not():
    truth = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
    assert compare_grads(truth * np.float32(1 + 2e-7), truth)
    assert not compare_grads(truth * np.float32(1.001), truth)


def test_one_wrong_entry_of_a_million_is_seen():
    truth = np.full(1_000_000, 1e-6)
    mine = truth.copy()
    mine[777] = 0
    assert not compare_grads(mine, truth)
    assert not compare_grads(np.zeros_like(truth), truth)


def test_nan_is_never_equal_to_nan():
    nan = np.array([1.0, np.nan])
    assert not compare_grads(nan, nan)
    assert not compare_grads(nan, np.ones(2))
    assert not compare_grads(np.ones(2), nan)


def test_shapes_are_not_broadcast():
    result = compare_grads({"b": np.ones((1, 3))}, {"b": np.ones(3)})
    assert not result
    assert "shape (1, 3), expected (3,)" in str(result)


def test_a_gradient_that_is_exactly_zero_borrows_the_scale_of_the_others():
    truth = {"W": np.ones(3, np.float32), "b": np.array([1e-9], np.float32)}
    mine = {"W": np.ones(3, np.float32), "b": np.array([-2e-9], np.float32)}
    assert not compare_grads(mine, truth)
    assert compare_grads(mine, truth, zero=["['b']"])
    wrong = {**mine, "b": np.array([1e-3], np.float32)}
    assert not compare_grads(wrong, truth, zero=["['b']"])


def test_frameworks_mix():
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).normal(size=4).astype(np.float32)
    tensor = torch.tensor(values, requires_grad=True)
    assert compare_grads([tensor], [jnp.asarray(values)])
    half = torch.tensor(values).to(torch.bfloat16)
    assert compare_grads([half], [jnp.asarray(values).astype(jnp.bfloat16)])
    assert not compare_grads([-tensor], [jnp.asarray(values)])


@pytest.mark.parametrize(
    ("mine", "truth", "names", "text"),
    [
        ({"a": 1.0}, {"b": 1.0}, None, r"\['b'\]"),
        ([1.0, 2.0], [1.0, 2.0], ["a"], "1 names for 2 leaves"),
        ([], [], None, "no gradient to compare"),
    ],
)
def test_what_cannot_be_compared_is_told(mine, truth, names, text):
    with pytest.raises(ValueError, match=text):
        compare_grads(mine, truth, names)


def test_an_unknown_zero_is_told():
    with pytest.raises(ValueError, match="zero names"):
        compare_grads([1.0], [1.0], ["a"], zero=["b"])


def test_the_worst_entry_is_the_one_furthest_out_of_its_tolerance():
    expected = np.array([1000.0, 1.0])
    got = np.array([1000.5, 1.1])
    found = difference(got, expected, np.array([1.0, 0.01]))
    assert found.worst == (1,)
    assert (found.got, found.expected) == (1.1, 1.0)
    assert not found.ok


def test_finite_where_the_truth_is_not_counts_as_better():
    found = difference([1.0, 2.0], [1.0, np.nan], 0.0)
    assert found.ok
    assert (found.better, found.undecided) == (1, 0)
    found = difference([1.0, np.nan], [1.0, np.nan], 0.0)
    assert (found.better, found.undecided) == (0, 1)
    assert difference([np.nan], [1.0], 1.0).reason == "nan"


def test_empty_arrays_are_no_pass():
    with pytest.raises(ValueError, match="dW, db hold no entries"):
        compare_grads([np.ones((0, 3))] * 2, [np.ones((0, 3))] * 2, names=["dW", "db"])
    assert compare_grads([np.ones((0, 3)), np.ones(2)], [np.ones((0, 3)), np.ones(2)])
