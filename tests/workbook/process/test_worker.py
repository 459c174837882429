"""Whatever is in the learner's file: a clear message with its line, and in time."""

import io
import os
import queue
import tempfile
import time
from pathlib import Path

import pytest

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.process.client import Worker
from jaxninja.workbook.process.worker import Screenful, _listen
from jaxninja.workbook.report import Report
from jaxninja.workbook.templates import template
from tests.workbook.bank import answered

TWO = EXERCISES[2].solution
LINE = next(k for k, text in enumerate(TWO.splitlines(), 1) if "dlogits =" in text)


def two(code):
    """Exercise 2 with other lines for dlogits."""
    return answered(2, logits=code)


def line_of(text, part):
    return next(k for k, line in enumerate(text.splitlines(), 1) if part in line)


FILES = {
    "syntax": (two("dlogits = (1 +"), "dlogits = (1", "this is not Python yet: "),
    "exception": (two("dlogits = logits @ logits"), "logits @", "raised TypeError: "),
    "name": (two("dlogits = logit"), "= logit", "NameError: name 'logit' is not"),
    "none": (two("dlogits = print()"), "print()", "dlogits is None"),
    "comma": (
        two("dlogits = logits,"),
        "= logits,",
        "is a tuple of 1, expected one array",
    ),
    "list": (two("dlogits = [1.0, 2.0]"), "[1.0", "is a list of 2, expected one array"),
    "number": (two("dlogits = 0"), "= 0", "dlogits is wrong by itself"),
    "text": (two("dlogits = 'x'"), "'x'", "dlogits is of type str, expected an array"),
    "nan": (two("dlogits = logits / 0.0"), "/ 0.0", "it is not finite"),
    "gap": (template(EXERCISES[2]), "= None", "dlogits is still None: it comes next"),
    "no line": (two("pass"), "def backward", "no line assigns dlogits"),
    "import": ("import nothing_of_the_kind\n" + TWO, "nothing_of", "No module named"),
    "exit": ("import sys\nsys.exit()\n" + TWO, "sys.exit()", "ends Python, and the"),
    "no function": (TWO.replace("def backward", "def back"), None, "no function 'back"),
    "parameter": (TWO.replace("(logits,", "(logit,"), "def backward", "'logits'?"),
    "stars": (TWO.replace("Yb, n)", "Yb, n, *a)"), "def backward", "takes *"),
    "return none": (
        TWO.replace("    return dlogits", "    return"),
        "",
        "returns None",
    ),
    "pair": (TWO.replace("return dlogits", "return dlogits, 1"), "", "it returns 2"),
    "branch": (two("if n:\n    return 1\ndlogits = n"), "return 1", "return inside"),
    "null": (TWO + "\0", None, "this is not Python"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_does_not_work_is_told(what, worker):
    text, part, message = FILES[what]
    report = worker.check(2, text, "exercise2.py")
    assert message in report.message
    assert report.status in ("error", "wrong", "gap")
    if part:
        assert report.line == line_of(text, part)
    assert "Traceback" not in str(report)
    assert "workbook/" not in str(report)


ONE = EXERCISES[1].solution
TUPLE = "return dC, dW1, db1, dW2, db2, dbngain, dbnbias"


def test_a_tuple_of_the_wrong_length_and_order(worker):
    text = ONE.replace(TUPLE, "return dC, dW1")
    report = worker.check(1, text, "exercise1.py")
    assert "a tuple of 7; it returns 2" in report.message
    assert report.line == line_of(text, "return dC, dW1")
    text = ONE.replace(TUPLE, "return dC, dW1, db2, dW2, db1, dbngain, dbnbias")
    assert "returns for db1 is not" in worker.check(1, text, "exercise1.py").message


def test_a_gradient_that_is_used_before_it_is_complete(worker):
    early = "dnorm_logits = counts * dcounts"
    text = ONE.replace(early, "pass").replace(
        "    dcounts += ", f"    {early}\n    dcounts += "
    )
    report = worker.check(1, text, "exercise1.py")
    assert report.guilty.name == "norm_logits"
    assert report.line == line_of(text, early)
    assert "one branch of it was used, not both" in report.message


def test_a_gradient_that_is_used_before_it_is_made(worker):
    text = ONE.replace("dh = dlogits @ W2.T", "pass").replace(
        "    dbngain =", "    dh = dlogits @ W2.T\n    dbngain ="
    )
    report = worker.check(1, text, "exercise1.py")
    assert report.guilty.name == "hpreact"
    assert "this line reads dh, which is made in line" in report.message


LOOPS = {
    "the file": "while True:\n    pass",
    "this line": "while True:\n    pass\ndlogits = logits",
    "dlogits": "dlogits = jax.lax.while_loop(lambda x: True, lambda x: x + 1, logits)",
}


def test_a_lost_process_is_told_and_another_one_goes_on():
    """A compiled loop does not listen to alarms; its process is ended."""
    with Worker(limit=1.0) as impatient:
        for who, loop in LOOPS.items():
            text = two(loop) if who != "the file" else f"{loop}\n{TWO}"
            start = time.perf_counter()
            report = impatient.check(2, text, "exercise2.py")
            assert f"{who} runs for more than 1 s: is there a loop" in report.message
            assert line_of(text, loop.splitlines()[0]) <= report.line
            assert report.line <= line_of(text, loop.splitlines()[-1])
            assert time.perf_counter() - start < 120
        impatient.limit = 60.0  # enough for JAX to compile on a busy machine
        report = impatient.check(2, two("import os\ndlogits = os._exit(3)"), "x.py")
        assert "ended Python (exit code 3)" in report.message
        report = impatient.check(1, answered(1, h="import os\ndh = os._exit(3)"), "x")
        assert [row.name for row in report.rows] == list(EXERCISES[1].names[:8])
        assert "dh ended Python" in report.message
        assert impatient.check(2, TWO.replace(" / n", ""), "x.py").status == "wrong"


def test_who_asks_leaves_nothing_behind(monkeypatch):
    """A worker whose stdin is closed ends, even amid a loop; no file has a name."""
    codes, lines = [], queue.Queue()
    monkeypatch.setattr(os, "_exit", codes.append)
    _listen(["one"], lines)
    assert (lines.get(), codes) == ("one", [0])
    names = set(Path(tempfile.gettempdir()).glob("jaxninja-*"))
    with Worker():
        assert set(Path(tempfile.gettempdir()).glob("jaxninja-*")) == names


def test_a_mistake_of_ours_is_not_blamed_on_the_learner(worker):
    report = worker.check(99, TWO, "exercise99.py")
    assert "the check itself failed: KeyError" in report.message
    assert "not in this file" in report.message


def test_prints_do_not_get_in_the_way(worker):
    text = "print('at import')\n" + TWO.replace(
        "    return", "    print(n)\n    return"
    )
    assert worker.check(2, text, "exercise2.py").ok


def test_printing_without_end_is_cut_after_a_screenful():
    stream = io.StringIO()
    screen = Screenful(stream, "... and more")
    for k in range(100):
        print("line", k, file=screen)
    text = stream.getvalue()
    assert text.count("\n") == Screenful.LINES + 2
    assert text.endswith("... and more\n")
    stream = io.StringIO()
    Screenful(stream, "").write("x" * 10_000)
    assert stream.getvalue().count("x") == Screenful.CHARACTERS


def test_a_byte_order_mark_is_no_mistake():
    assert check(2, "\ufeff" + TWO, "exercise2.py", explain=False).ok


def test_at_a_gap_the_last_right_gradient_is_the_picture():
    text = answered(1, counts="dcounts = None")
    report = check(1, text, "exercise1.py", explain=False)
    assert report.status == "gap"
    assert report.picture["name"] == "counts_sum"
    assert report.picture["mine"] == report.picture["truth"]


def test_a_report_survives_its_journey(worker):
    report = worker.check(2, TWO.replace(" / n", ""), "exercise2.py")
    again = Report.from_json(report.to_json())
    assert again == report
    assert again.guilty.ladder == report.guilty.ladder
    assert report.picture["name"] == "logits"
