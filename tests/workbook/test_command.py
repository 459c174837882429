"""`jaxninja exercise`, as a learner uses it."""

import contextlib
import os
import pty
import re
import termios
import threading
import time
from pathlib import Path

import pytest

from jaxninja.cli import exercise, main
from jaxninja.cli.workbook import keys, screen
from jaxninja.workbook import progress
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered
from tests.workbook.pytorch import notebooks


@pytest.fixture(autouse=True)
def one_worker(worker, monkeypatch):
    """The commands use the worker of the session, and do not end it."""

    class Lent:
        def __init__(self, limit):
            self.check = worker.check

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(exercise, "Worker", Lent)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "start"]) == 0
    return tmp_path / "workbook"


def put(folder, number, text):
    (folder / f"exercise{number}.py").write_text(text)


TWO = EXERCISES[2].solution
WHY = "d/dk logits_y"  # stands in the derivation in words only


def test_from_a_gap_by_a_mistake_to_done(folder, capsys):
    assert main(["exercise", "start"]) == 0
    count = len(EXERCISES)
    assert f"{count} of {count} " in capsys.readouterr().out
    assert main(["exercise", "check", "2"]) == 3
    out = capsys.readouterr().out
    assert re.search("dlogits .*None", out)
    assert "0 of 1 " in out
    put(folder, 2, TWO.replace(" / n", ""))
    assert main(["exercise", "check", "2"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"exercise2.py:\d+: dlogits\b", out)
    assert "factor 1/n" in out
    assert "`jaxninja exercise hint 2.logits`" in out
    for rung in ("shape", "dtype", "bits", "maxdiff", "float32", "float64"):
        assert f"    {rung} " in out
    main(["exercise", "list"])
    assert "wrong: logits" in capsys.readouterr().out
    put(folder, 2, TWO)
    assert main(["exercise", "check", "2", "--cost"]) == 0
    out = capsys.readouterr().out
    assert "Exercise 2 is done: 1 of 1 right." in out  # how it looks
    assert WHY in " ".join(out.split())  # once it is right
    assert "jax.grad" in out
    main(["exercise", "check", "2"])
    assert WHY not in " ".join(capsys.readouterr().out.split())
    main(["exercise", "list"])
    out = capsys.readouterr().out
    assert "cross entropy in one expression          done" in out


def test_hints_climb_from_call_to_call(folder, capsys):
    seen = []
    for _ in range(9):
        assert main(["exercise", "hint", "2.logits"]) == 0
        seen.append(capsys.readouterr().out)
    assert "again for more: rule" in seen[0]
    assert "softmax(logits, 1)" not in seen[5]
    assert "dlogits = (jax.nn.softmax(logits, 1)" in seen[6]
    assert "again for more" not in seen[7]
    assert seen[7] == seen[8]


def test_reset(folder, capsys):
    put(folder, 2, TWO)
    assert main(["exercise", "reset", "2"]) == 0
    assert "exercise2.py.1" in capsys.readouterr().out
    assert (folder / "exercise2.py.1").read_text() == TWO


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["check", "2", "--dir", "nowhere"], "'nowhere'"),
        (["hint", "1.cuonts"], "'counts'"),
        (["hint", "h"], "N.NAME"),
        (["check", "1", "--limit", "-1"], "--limit -1: "),
        (["watch", "1", "--limit", "0"], "--limit 0: "),
        (["check", "1", "--limit", "nan"], "--limit nan: "),
    ],
)
def test_what_does_not_make_sense_is_one_line(folder, capsys, args, message):
    capsys.readouterr()
    assert main(["exercise", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_no_cost_before_it_is_done(folder, capsys):
    main(["exercise", "check", "2", "--cost"])
    assert "jax.grad" not in capsys.readouterr().out


def test_watch_checks_at_once_and_on_each_save(folder, capsys, monkeypatch):
    """The file is saved twice while it is watched; then comes Ctrl-C."""
    put(folder, 2, TWO.replace(" / n", ""))
    reports = []
    checked = exercise._checked

    def recorded(*args):
        reports.append(checked(*args))
        if len(reports) == 1:
            threading.Thread(target=save, args=(TWO + "\n# saved\n",)).start()
        elif len(reports) == 2:
            raise KeyboardInterrupt
        return reports[-1]

    def save(text):
        time.sleep(0.3)
        partial = folder / "partial"
        partial.write_text(text)
        os.replace(partial, folder / "exercise2.py")  # as many editors do

    monkeypatch.setattr(exercise, "_checked", recorded)
    assert main(["exercise", "watch", "2"]) == 0
    assert [report.status for report in reports] == ["wrong", "ok"]
    assert reports[1].seconds > 0
    assert "watching workbook/" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["progress.json.partial", "progress.json"])
def test_a_result_is_shown_though_progress_cannot_be_kept(folder, capsys, broken):
    """A folder stands where the file should, as where nothing may be written."""
    put(folder, 2, TWO)
    (folder / broken).unlink(missing_ok=True)
    if broken == "progress.json":
        (folder / broken).write_text("[]")
    else:
        (folder / broken).mkdir()
    assert main(["exercise", "check", "2"]) == 0
    out = capsys.readouterr().out
    assert out.index("Exercise 2 is done") < out.index("progress is not kept: ")


def test_what_is_right_can_be_read_again_blanked_and_kept(folder, capsys):
    put(folder, 2, TWO)
    assert main(["exercise", "list", "2.logits"]) == 2
    assert "2.logits " in capsys.readouterr().err
    main(["exercise", "check", "2"])
    capsys.readouterr()
    assert main(["exercise", "list", "2.logits"]) == 0
    assert WHY in " ".join(capsys.readouterr().out.split())
    assert main(["exercise", "list", "2"]) == 0
    assert capsys.readouterr().out.split() == ["ok", "2.logits", "20", "min,", "medium"]
    assert main(["exercise", "again"]) == 2
    assert re.search(r"\b2\.logits\b.*\b0 days", capsys.readouterr().err)
    assert main(["exercise", "page"]) == 0
    page = Path("backprop_by_hand.html").read_text()
    count = sum(len(e.names) for e in EXERCISES.values())
    assert f"1 of {count} " in page
    assert "jax.nn.softmax(logits, 1)" in page
    assert "data:image/png;base64," in page


def test_after_a_week_a_gradient_is_a_gap_again(folder, capsys):
    put(folder, 2, TWO)
    main(["exercise", "check", "2"])
    state = progress.load(folder)
    state.entry(2, "logits")["since"] -= 8 * 86_400
    state.save()
    main(["exercise", "list"])
    assert "`jaxninja exercise again 2.logits`" in capsys.readouterr().out
    assert main(["exercise", "again"]) == 0
    assert (folder / "exercise2.py.1").read_text() == TWO
    assert "\n    dlogits = None\n" in (folder / "exercise2.py").read_text()
    assert main(["exercise", "check", "2"]) == 3
    put(folder, 2, TWO)
    main(["exercise", "check", "2"])
    since = progress.load(folder).entry(2, "logits")["since"]
    assert time.time() - since < 600


def test_keys_do_what_the_help_says(folder, capsys, monkeypatch):
    put(folder, 2, TWO.replace(" / n", ""))
    typed = iter("xhlgcnq")
    monkeypatch.setattr(keys, "single", lambda: contextlib.nullcontext(True))
    monkeypatch.setattr(keys, "pressed", lambda seconds, listening: next(typed))
    assert main(["exercise", "watch", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("h hint  n next  l list  g graph  c check all  q quit") == 6
    assert out.count("\nexercise2.py, ") == 3
    words = " ".join(out.split())
    assert "WRONG 2.logits 20 min, medium hints: 1" in words
    assert words.count("again for more: rule") == 1
    assert "WRONG dlogits <- dloss" in words
    assert list(typed) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [("def backward(:", "fix first what the check says"), (TWO, "nothing to hint at")],
)
def test_the_next_exercise_comes_after_one_that_is_done(
    text, told, folder, capsys, monkeypatch
):
    put(folder, 2, text)
    typed = iter("hq")
    monkeypatch.setattr(keys, "single", lambda: contextlib.nullcontext(True))
    monkeypatch.setattr(keys, "pressed", lambda seconds, listening: next(typed))
    assert main(["exercise", "watch", "2"]) == 0
    out = capsys.readouterr().out
    assert told in out
    assert ("press n for the next" in out) == (text == TWO)


@pytest.mark.parametrize("columns", [40, 80])
def test_a_screen_has_room_for_each_line(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = answered(
        1, counts="dcounts = counts_sum_inv * dprobs", b2="db2 = dlogits.sum(0)[None]"
    )
    report = check(1, text, "exercise1.py")
    shown = screen.shown(report).splitlines()
    assert max(map(len, shown)) <= columns
    assert any(line.startswith("counts") and "WRONG" in line for line in shown)
    assert len(screen.bar(4, 26)) <= columns


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_have_it(variables, coloured, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert screen.painted("x", "ok") == "x"  # no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert (screen.painted("x", "ok") != "x") == coloured


def test_keys_come_one_at_a_time_from_a_terminal(monkeypatch):
    ours, theirs = pty.openpty()
    with open(theirs, closefd=False) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        before = termios.tcgetattr(theirs)
        with keys.single() as listening:
            assert listening
            assert keys.pressed(0.0, listening) == ""
            os.write(ours, b"h")
            assert keys.pressed(5.0, listening) == "h"
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_a_notebook_is_imported_and_checked(folder, capsys):
    answer = notebooks.ENTROPY.replace("\ndlogits /= n", "")
    cells = notebooks.solved(2, "logits", answer)
    cells[2] = "# Exercise 1\ndlogprobs = logprobs.grad"
    path = notebooks.written(folder, cells)
    capsys.readouterr()
    assert main(["exercise", "import", str(path)]) == 1
    out = capsys.readouterr().out
    assert re.search(r"exercise 1: 0 of 26 .*workbook/exercise1\.py", out)
    assert re.search(r"cell 3, line 2: .*`dlogprobs = logprobs\.grad`", out)
    assert "factor 1/n" in out
    assert "exercise 3: [##########################] 1 of 1 right" in out
    assert progress.load(folder).right(3) == ["hprebn"]
    assert main(["exercise", "import", str(path)]) == 2
    err = capsys.readouterr().err
    assert "exercise1.py " in err
    assert err.count("\n") == 1
    assert main(["exercise", "import", str(path), "--dir", "other"]) == 1
    text = (folder / "exercise3.py").read_text()
    assert (folder.parent / "other" / "exercise3.py").read_text() == text


def test_no_notebook_leaves_no_workbook(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ipynb").write_text('{"nbformat": 4, "cells": []}')
    assert main(["exercise", "import", "a.ipynb"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "a.ipynb " in err
    assert not (tmp_path / "workbook").exists()


def test_a_workbook_in_chinese_stays_so(folder, tmp_path, capsys):
    assert main(["exercise", "start", "other", "--lang", "zh"]) == 0
    assert "下一步：填写 other/exercise1.py" in capsys.readouterr().out
    assert "练习 2" in (tmp_path / "other" / "exercise2.py").read_text()
    assert main(["exercise", "check", "2", "--dir", "other"]) == 3
    out = capsys.readouterr().out
    assert re.search("dlogits .*None", out)
    assert "0/1 正确" in out  # the language, told by a word
    put(tmp_path / "other", 2, TWO)
    assert main(["exercise", "check", "2", "--dir", "other"]) == 0
    assert "d/dk" in capsys.readouterr().out
    main(["exercise", "list", "--dir", "other"])
    assert re.search(r"练习 2 +1/1 +交叉熵：一个表达式 +完成", capsys.readouterr().out)
    main(["exercise", "hint", "2.logits", "--dir", "other", "--lang", "en"])
    assert "again for more: rule" in capsys.readouterr().out
    main(["exercise", "page", "--dir", "other"])
    text = (tmp_path / "backprop_by_hand.html").read_text()
    assert '<html lang="zh">' in text
    assert "手工推导了" in text
    main(["exercise", "hint", "2.logits", "--lang", "zh"])
    assert "形状" in capsys.readouterr().out
    main(["exercise", "list"])
    assert "cross entropy" in capsys.readouterr().out


def test_another_language_is_one_line(folder, capsys):
    capsys.readouterr()
    for args in (["start", "x"], ["list"], ["check", "2"]):
        assert main(["exercise", *args, "--lang", "fr"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert all(word in err for word in ("'fr'", "en", "zh"))
    assert not (folder.parent / "x").exists()
