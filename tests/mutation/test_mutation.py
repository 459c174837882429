"""Mutants of a user's backward against the user's tests; the certificate of a rule."""

import json
import os
import re
from pathlib import Path

import pytest

from jaxninja.cli import main
from jaxninja.mutation import certificate, pytest_runs
from jaxninja.mutation.selection import mutants
from jaxninja.rules import RULES

MODULE = """
import jax, jax.numpy as jnp

@jax.custom_vjp
def cube(x):
    return x**3

def cube_fwd(x):
    return x**3, x

def cube_bwd(x, dy):
    return (3 * x * x * dy,)

cube.defvjp(cube_fwd, cube_bwd)

def example():
    return (jnp.array([0.5, -1.2, 2.0]),)
"""
STRICT = """
import jax, numpy as np
from cubes import cube, example

def test_gradient():
    x = np.asarray(example()[0])
    pull = jax.vjp(cube, x)[1]
    for dy in np.array([[0.3, -2.0, 1.5], [30, -200, 150]], np.float32):
        np.testing.assert_allclose(pull(dy)[0], 3 * x**2 * dy, rtol=1e-5)
"""
LOOSE = """
from cubes import cube, example

def test_value_only():
    assert cube(*example()).shape == (3,)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    package = Path(certificate.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{package}")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # each run starts faster
    (tmp_path / "cubes.py").write_text(MODULE)
    (tmp_path / "test_strict.py").write_text(STRICT)
    (tmp_path / "test_loose.py").write_text(LOOSE)
    return tmp_path


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


@pytest.mark.parametrize("args", [["--mutate"], ["tanh", "--mutate"]])
def test_only_a_function_of_ones_own_is_mutated(args, capsys):
    assert main(["check", *args]) == 2
    assert "one MODULE:FUNCTION of your own" in capsys.readouterr().err


def test_mutants_are_many_and_differ(project):
    _, subject, args = pytest_runs.subject_at("cubes:cube", "cubes:example")
    found = mutants(subject, args)
    assert len(found) >= 20
    assert len({str(m) for m in found}) == len(found)
    taken = mutants(subject, args, 6)
    assert len({m.change.edit.operator for m in taken}) == 6
    assert list(map(str, taken)) == list(map(str, found[:6]))


def test_a_certificate_of_one_rule(tmp_path, capsys):
    path, table = tmp_path / "c.json", tmp_path / "R.md"
    table.write_text(f"# mine\n{certificate.BEGIN}\nold\n{certificate.END}\nrest\n")
    args = ["--level", "quick", "--mutants", "2"]
    files = ["--json", str(path), "--markdown", str(table)]
    assert main(["certify", "--names", "tanh", *args, *files]) == 0
    (row,) = json.loads(path.read_text())["rules"]
    assert (row["name"], row["verdict"]) == ("tanh", "ok")
    assert row["killed"] == row["mutants"] == 2
    assert row["hash"] in table.read_text()
    assert table.read_text().startswith("# mine\n")
    assert table.read_text().endswith("rest\n")
    assert "old" not in table.read_text()
    assert "mutants refused: 2 of 2" in capsys.readouterr().out


def test_an_unknown_rule_is_refused(capsys):
    assert main(["certify", "--names", "tang"]) == 2
    assert "no rule 'tang', expected embedding" in capsys.readouterr().err


def test_the_readme_certifies_the_rules_as_they_are():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.split(certificate.BEGIN)[1].split(certificate.END)[0]
    rows = re.findall(r"^\| \[`(\w+)`\].*\| `(\w+)` \|$", table, re.MULTILINE)
    assert rows == [(rule.name, certificate.source_hash(rule)) for rule in RULES]
