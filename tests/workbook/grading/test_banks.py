"""The later exercises by answers: wrong ones fail at their name, right ones pass."""

import importlib

import pytest

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered, lines

BANKS = {
    number: importlib.import_module(f"tests.workbook.banks.exercise{number}")
    for number in EXERCISES
    if number > 4  # these have theirs in tests.workbook.bank
}


def checked(number, explain=False, **answers):
    answers = {name: lines(name, code) for name, code in answers.items()}
    text = answered(number, **answers)
    return check(number, text, EXERCISES[number].file, explain=explain)


@pytest.mark.parametrize("number", BANKS)
def test_every_wrong_answer_fails_at_its_own_name_and_is_explained(number):
    """One test for all of an exercise: what is compiled for one serves the next."""
    slipped = []
    for name, code, told in BANKS[number].WRONG:
        report = checked(number, explain=bool(told), **{name: code})
        guilty = report.guilty and report.guilty.name
        before = {row.status for row in report.rows if row.name != name} <= {"ok"}
        hint = str(report.hints[0]) if report.hints else ""
        if (report.status, guilty, before) != ("wrong", name, True) or told not in hint:
            slipped.append((name, code, report.status, guilty, hint))
    assert slipped == []
    assert len(BANKS[number].WRONG) >= 30


def rounds(right):
    """The right answers, one for each gradient at a time."""
    waiting = [*right]
    while waiting:
        chosen = dict(reversed(waiting))
        waiting = [pair for pair in waiting if chosen[pair[0]] != pair[1]]
        yield chosen


@pytest.mark.parametrize("number", BANKS)
def test_every_right_answer_passes(number):
    reports = [checked(number, **chosen) for chosen in rounds(BANKS[number].RIGHT)]
    assert [str(report) for report in reports if not report.ok] == []
    assert len(BANKS[number].RIGHT) >= 8
