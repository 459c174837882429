"""`jaxninja exercise`, as a learner uses it."""

import os
import threading
import time

import pytest

from jaxninja.cli import exercise, main
from jaxninja.workbook.exercises import EXERCISES


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


def test_from_a_gap_by_a_mistake_to_done(folder, capsys):
    assert main(["exercise", "start"]) == 0
    assert "4 of 4 exercises were there already" in capsys.readouterr().out
    assert main(["exercise", "check", "2"]) == 3
    out = capsys.readouterr().out
    assert "dlogits is still None" in out
    assert "0 of 1 right" in out
    put(folder, 2, TWO.replace(" / n", ""))
    assert main(["exercise", "check", "2"]) == 1
    out = capsys.readouterr().out
    assert "exercise2.py:19: dlogits is wrong by itself" in out
    assert "the factor 1/n is missing" in out
    for rung in ("shape", "dtype", "bits", "maxdiff", "float32", "float64"):
        assert f"    {rung} " in out
    main(["exercise", "list"])
    assert "wrong: logits" in capsys.readouterr().out
    put(folder, 2, TWO)
    assert main(["exercise", "check", "2", "--cost"]) == 0
    out = capsys.readouterr().out
    assert "Exercise 2 is done: 1 of 1 right." in out
    assert "Each row sums to zero" in out  # the explanation, once it is right
    assert "jax.grad" in out
    main(["exercise", "check", "2"])
    assert "Each row sums to zero" not in capsys.readouterr().out
    main(["exercise", "list"])
    out = capsys.readouterr().out
    assert "cross entropy in one expression          done" in out


def test_hints_climb_from_call_to_call(folder, capsys):
    seen = []
    for _ in range(6):
        assert main(["exercise", "hint", "2.logits"]) == 0
        seen.append(capsys.readouterr().out)
    assert "again for more: rule" in seen[0]
    assert "softmax(logits, 1)" not in seen[2]
    assert "dlogits = (jax.nn.softmax(logits, 1)" in seen[3]
    assert "again for more" not in seen[4]
    assert seen[4] == seen[5]


def test_reset(folder, capsys):
    put(folder, 2, TWO)
    assert main(["exercise", "reset", "2"]) == 0
    assert "exercise2.py.1" in capsys.readouterr().out
    assert (folder / "exercise2.py.1").read_text() == TWO


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["check", "2", "--dir", "nowhere"], "no workbook in 'nowhere'"),
        (["hint", "1.cuonts"], "did you mean 'counts'"),
        (["hint", "h"], "expected N.NAME"),
        (["check", "1", "--limit", "-1"], "--limit -1: expected seconds, more"),
        (["watch", "1", "--limit", "0"], "--limit 0: expected seconds, more"),
        (
            ["check", "1", "--limit", "nan"],
            "--limit nan: expected seconds, more",
        ),
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
    assert "an exercise that is not done has none" in capsys.readouterr().out


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
    assert reports[1].seconds < 10
    assert "watching workbook/" in capsys.readouterr().out
