"""What an array holds is told by its entries, as far as they tell it."""

import numpy as np
import pytest

from jaxninja.check.inputs.kinds import kind_of

A = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (A, "definite"),
        (np.triu(A), "triangular"),
        (np.eye(2), "mask"),
        (np.zeros((2, 2)), "real"),  # symmetric as well, but so are unset weights
        (A / A.sum(-1, keepdims=True), "probability"),
        (A[0], "positive"),
        (-A[0], "real"),
    ],
)
def test_the_kind_of_an_array(values, kind):
    assert kind_of(values) == kind
