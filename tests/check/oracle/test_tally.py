"""What the trials of one gradient add up to."""

import numpy as np
import pytest

from jaxninja.check.oracle.roundings.widening import better_of
from jaxninja.check.oracle.tolerances import Errors, Tally, Trial
from jaxninja.check.subject.pytrees import unit

U = unit("float32")


def tally(*errors, dtype="float32"):
    """Of trials of a gradient of ones, with these errors of the rule and autodiff."""
    found = Tally("x")
    ones, tolerance = np.ones(3), np.full(3, 1e-3)
    for sizes in errors:
        found.add(Trial("x", "", ones, ones, tolerance, dtype, "N=3", Errors(*sizes)))
    return found


def test_the_ratio_is_of_the_root_mean_squares_of_all_trials():
    assert tally((3 * U, U), (4 * U, 7 * U)).ratios == {
        "float32": pytest.approx(5 / 50**0.5)
    }


def test_a_trial_in_which_autodiff_is_exact_by_luck_does_not_decide():
    assert tally((U, 0.0), (U, 2 * U)).ratios["float32"] < 1
    assert tally((U, 0.0)).ratios["float32"] == pytest.approx(2)  # over half a rounding


def test_a_gradient_that_is_little_beside_its_terms_is_measured_by_its_own_roundings():
    """As that of a long recurrence, whose terms cancel or are bounds only."""
    assert tally((3e-3 * U, 2e-3 * U, 1e-3)).ratios["float32"] == pytest.approx(1.5)
    assert tally((0.0, 0.0, 0.0)).ratios == {}  # no gradient in any trial


def test_a_rule_that_is_far_off_where_autodiff_is_not_is_told():
    note = "right, but a residual or a sum loses digits"
    assert tally((17 * U, U), *[(U, U)] * 99).leaf(False, False).note == note
    assert tally((15 * U, U)).leaf(False, False).note == ""


@pytest.mark.parametrize(("again", "taken"), [(1.0001, True), (1.5, False)])
def test_a_gradient_that_another_program_makes_counts_if_it_is_right(again, taken):
    """Where XLA joins a product and a sum, one rounds and one does not."""
    ones = np.ones(3)
    off = Trial("x", "", 1.2 * ones, ones, 1e-3 * ones, "float32", "N=3")
    assert (better_of(off, again * ones) is not off) == taken
