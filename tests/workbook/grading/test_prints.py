"""Prints and asserts: once, with numbers, when what stands above them is there."""

import pytest

from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered, lines

PROBS = "dprobs = dlogprobs / probs"
ONE = EXERCISES[1].solution


def checked(code, head=""):
    """Exercise 1 with other lines for dprobs."""
    return check(1, head + answered(1, probs=code), "exercise1.py", explain=False)


PRINTS = {
    "before": (f"print(dlogprobs.shape, float(probs.sum()) > 31)\n{PROBS}", ""),
    "after": (f"{PROBS}\nprint(dprobs.shape, float(dprobs[0].sum()) < 0)", ""),
    "wrong": (
        "dprobs = dlogprobs\nprint(dprobs.shape, float(dprobs[0].sum()) < 0)",
        "",
    ),
    "gap": ("print(dlogprobs.shape, float(probs.sum()) > 31)\ndprobs = None", ""),
    "helper": (
        f"double = 2 * probs\nprint(double.shape, double.min() > 0)\n{PROBS}",
        "",
    ),
    "one line": (f"p = probs; print(p.shape, p.min() > 0); {PROBS}", ""),
    "inside": (f"{PROBS} * (print(n, C.size) is None)", ""),
    "function": (
        "dprobs = divided(dlogprobs, probs)",
        "def divided(a, b):\n    print(a.shape, b.sum() > 31)\n    return a / b\n",
    ),
    "loop": (f"for k in range(1): print(probs.shape, probs[k, 0] > 0)\n{PROBS}", ""),
}


@pytest.mark.parametrize("where", PRINTS)
def test_a_print_is_heard_once_and_has_numbers(where, capsys):
    checked(*PRINTS[where])
    expected = "32 270\n" if where == "inside" else "(32, 27) True\n"
    assert capsys.readouterr().out == expected


def test_a_print_has_the_shape_that_the_learner_made(capsys):
    report = checked("dprobs = dlogprobs[0]\nprint(dprobs.shape)")
    assert report.guilty.name == "probs"
    assert capsys.readouterr().out == "(27,)\n"


def test_a_print_of_half_a_gradient_has_that_half(capsys):
    half = "dcounts = counts_sum_inv * dprobs\nprint(float(dcounts.sum()))\ndcounts +="
    text = answered(1, counts=half + " dcounts_sum")
    check(1, text, "exercise1.py", explain=False)
    assert float(capsys.readouterr().out) < -1  # with its other half it is near zero


ASSERTS = {
    "assert dprobs.shape == (9, 9)": "does not hold: dprobs.shape == (9, 9)",
    "assert dprobs is None, 'so'": "does not hold: dprobs is None: so",
    "print(nothing)": "NameError: name 'nothing' is not defined",
    "print(dC)": "NameError: name 'dC' is not defined",
}


@pytest.mark.parametrize("code", ASSERTS)
def test_an_assert_that_does_not_hold_stops_the_check(code):
    report = checked(f"{PROBS}\n{code}")
    assert report.status == "error"
    assert ASSERTS[code] in report.message
    assert [row.name for row in report.rows] == ["logprobs", "probs"]
    assert code in answered(1, probs=f"{PROBS}\n{code}").splitlines()[report.line - 1]


def test_a_wrong_gradient_is_told_before_the_assert_below_it():
    report = checked("dprobs = dlogprobs\nassert abs(dprobs).max() > 99")
    assert (report.status, report.guilty.name) == ("wrong", "probs")


ENDS = [
    "import sys; sys.exit()",
    "exit()",
    "raise SystemExit(3)",
    "raise KeyboardInterrupt",
]


@pytest.mark.parametrize("code", ENDS)
def test_what_ends_python_is_told_with_its_line(code):
    report = checked(lines("probs", f"{PROBS}\nif n:\n    {code}\n    dprobs = 0"))
    assert "ends Python, and the check with it" in report.message
    assert report.line == report_line(code)
    assert [row.name for row in report.rows] == ["logprobs"]


def report_line(code):
    text = answered(1, probs=f"{PROBS}\nif n:\n    {code}")
    return next(k for k, line in enumerate(text.splitlines(), 1) if code in line)


def test_a_loop_variable_belongs_to_its_loop():
    """Else two loops over k would each run the other."""
    loop = "for k in range(n):\n    d{0} = {0}[k]\n"
    text = answered(1, probs=loop.format("probs"), h=loop.format("h"))
    read = parse.read(text, "exercise1.py")
    assert len(read.piece("dh", EXERCISES[1].gradients)) == 1
