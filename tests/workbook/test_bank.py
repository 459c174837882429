"""The check is tested by answers: every wrong one must fail, every right one pass."""

import pytest
from jaxninja.workbook.checking import check
from jaxninja.workbook.exercises import EXERCISES

from tests.workbook.bank import RIGHT, WRONG, answered, lines


def checked(number, name, code):
    text = answered(number, **{name: lines(name, code)})
    return check(number, text, EXERCISES[number].file, explain=False)


def test_the_bank_is_as_large_as_it_should_be():
    assert len(WRONG) >= 80
    assert len(RIGHT) >= 20
    assert {name for number, name, _ in WRONG if number == 1} == {*EXERCISES[1].names}


@pytest.mark.parametrize(("number", "name", "code"), WRONG)
def test_a_wrong_answer_fails_at_its_own_name(number, name, code):
    report = checked(number, name, code)
    assert report.status == "wrong"
    assert report.guilty.name == name
    assert all(row.status == "ok" for row in report.rows[:-1])


@pytest.mark.parametrize(("number", "name", "code"), RIGHT)
def test_a_right_answer_passes(number, name, code):
    report = checked(number, name, code)
    assert report.ok, report


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_passes_and_zeros_do_not(number):
    exercise = EXERCISES[number]
    assert check(number, exercise.solution, exercise.file).ok
    zeros = {name: f"d{name} = jnp.zeros_like({name})" for name in exercise.names}
    text = "import jax.numpy as jnp\n" + answered(number, **zeros)
    report = check(number, text, exercise.file, explain=False)
    assert report.guilty.name == exercise.names[0]
