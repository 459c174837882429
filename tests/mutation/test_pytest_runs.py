"""Mutants of a user's backward against the user's tests."""

import re

import pytest

from jaxninja.cli import main


def run(*args, count: int = 1) -> int:
    place = ("cubes:cube", "--args", "cubes:example", "--mutate")
    return main(["check", *place, "--mutants", str(count), *args])


def test_tests_that_look_kill_the_mutants_and_others_do_not(project, capsys):
    assert run("--tests", "test_strict.py", count=2) == 0
    assert "your tests kill 2 of 2" in capsys.readouterr().out
    assert run("--tests", "test_loose.py") == 1
    out = capsys.readouterr().out
    assert "your tests kill 0 of 1" in out
    assert out.count("survived: ") == 1
    assert re.search(r"survived: .* \(line 12\)", out)


def test_tests_that_fail_anyway_cannot_judge(project, capsys):
    (project / "test_bad.py").write_text("def test_no(): assert False")
    assert run("--tests", "test_bad.py") == 2
    assert "cannot judge" in capsys.readouterr().err
    assert run("--tests", "nowhere.py") == 2
    assert "a mutant: pytest cannot run what --tests names\n" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--mutate"], ["tanh", "--mutate"]])
def test_only_a_function_of_ones_own_is_mutated(args, capsys):
    assert main(["check", *args]) == 2
    assert "one MODULE:FUNCTION of your own" in capsys.readouterr().err
