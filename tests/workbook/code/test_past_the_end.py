"""An index past the end is told, though JAX reads the last entry in its place."""

import ast

import numpy as np
import pytest

from jaxninja.workbook.code.past_the_end import reads_past_the_end
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered

ARRAYS = {"dy": np.zeros((3, 4))}


@pytest.mark.parametrize("code", ["dy[3]", "dy[-4]", "dy[0, 4]", "dy[:, 4] + 1"])
def test_it_is_told(code):
    assert "past the end" in reads_past_the_end(ast.parse(code).body, ARRAYS)


@pytest.mark.parametrize(
    "code",
    [
        "dy[2]",
        "dy[-3]",
        "dy[None, 3]",
        "dy[..., 3]",
        "dy[1:9]",
        "dy[dy.argmax()]",
        "x[9]",
    ],
)
def test_what_is_within_is_not(code):
    assert reads_past_the_end(ast.parse(code).body, ARRAYS) is None


def test_it_is_wrong_in_an_exercise():
    text = answered(6, h3="dh3 = dy[3]")
    report = check(6, text, EXERCISES[6].file)
    assert (report.status, report.guilty.name) == ("wrong", "h3")
    assert report.message.startswith("dy[3] is past the end")
