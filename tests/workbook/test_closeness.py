"""The lecture's line and the ladder under it."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxninja
from jaxninja.workbook.closeness import ladder

TRUTH = jnp.asarray([[1.0, -2.0, 0.5]], "float32")


def test_cmp_prints_the_lectures_line():
    line = jaxninja.cmp("logits", TRUTH, TRUTH)
    assert str(line) == (
        "logits          | exact: True  | approximate: True  | maxdiff: 0.0"
    )
    off = jaxninja.cmp("logits", TRUTH * (1 + 2e-7), TRUTH)
    assert (off.exact, off.approximate) == (False, True)
    assert 0 < off.maxdiff < 1e-6
    assert not jaxninja.cmp("logits", TRUTH + 1e-4, TRUTH).approximate


def test_cmp_broadcasts_nothing():
    """The lecture's passes a [H] for a [1, H]."""
    line = jaxninja.cmp("bnmeani", TRUTH[0], TRUTH)
    assert (line.exact, line.approximate, line.maxdiff) == (False, False, np.inf)
    assert "shape (3,), expected (1, 3)" in str(line)


def test_a_zero_gradient_needs_a_scale():
    rounding = jnp.full(3, 3e-9, "float32")
    assert not jaxninja.cmp("b1", rounding, -rounding).approximate
    assert jaxninja.cmp("b1", rounding, -rounding, scale=0.01).approximate
    assert not jaxninja.cmp("b1", rounding + 1e-6, rounding, scale=0.01).approximate


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(bad):
    mine = TRUTH.at[0, 0].set(bad)
    assert not jaxninja.cmp("h", mine, TRUTH).approximate
    assert not jaxninja.cmp("h", mine, mine).approximate
    assert "maxdiff: nan | not finite" in str(jaxninja.cmp("h", mine, TRUTH))
    rungs = {rung.what: rung for rung in ladder(mine, TRUTH, 2.0, None)}
    assert rungs["bits"].found == "1 of 3 entries are NaN or infinite"


@pytest.mark.parametrize("given", [None, "x", [[1.0, 2.0]], (1.0,), {"h": 1.0}])
def test_what_is_no_array_is_refused(given):
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"'h': mine is a {kind}, expected an array"):
        jaxninja.cmp("h", given, TRUTH)
    with pytest.raises(TypeError, match=f"'h': truth is a {kind}, expected an array"):
        jaxninja.cmp("h", TRUTH, given)


def words(mine, float64=None):
    return {r.what: (r.word, r.ok) for r in ladder(mine, TRUTH, 2.0, float64)}


def test_the_ladder_has_a_word_on_each_rung():
    right = words(TRUTH, 1e-16)
    assert list(right) == ["shape", "dtype", "bits", "maxdiff", "float32", "float64"]
    assert all(ok for _, ok in right.values())
    assert right["bits"][0] == "identical to autodiff"
    near = words(TRUTH * (1 + 2e-7), 1e-9)
    assert near["maxdiff"] == ("rounding", True)
    assert near["float32"] == ("equal up to rounding", True)
    assert near["float64"] == ("wrong", False)
    far = words(TRUTH * 1.01)
    assert far["maxdiff"] == ("more than rounding", False)
    assert far["float32"] == ("wrong", False)


def test_the_ladder_ends_at_a_wrong_shape_and_tells_the_dtype():
    assert list(words(TRUTH[0])) == ["shape"]
    word, ok = words(TRUTH.astype("bfloat16"))["dtype"]
    assert not ok
    assert word == "expected float32, that of the forward"


def test_ulps_are_those_of_the_largest_entry():
    mine = TRUTH.at[0, 1].set(np.nextafter(np.float32(-2), np.float32(-3)))
    rung = next(r for r in ladder(mine, TRUTH, 2.0, None) if r.what == "maxdiff")
    assert rung.found == "2.38e-07, 1 ULP of the largest entry"
