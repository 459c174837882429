"""Mutants of a user's backward against the user's tests; the certificate of a rule."""

import json
import os
import re
import sys
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


def certified(path):
    """(rule, cells of its row) of the table in a file."""
    table = path.read_text().split(certificate.BEGIN)[1].split(certificate.END)[0]
    rows = re.findall(r"^\| \[`(\w+)`\]\((.*)\) \|(.*) \|$", table, re.MULTILINE)
    for _, file, _ in rows:
        assert (path.parent / file).exists(), file
    return [(name, cells.split(" | ")) for name, _, cells in rows]


def test_the_certificate_is_that_of_the_rules_as_they_are():
    """Whole in experiments/, and a few rows of it in the README."""
    root = Path(certificate.__file__).parents[2]
    whole = certified(root / "experiments" / "certificate.md")
    hashes = [(name, cells[-1].strip("`")) for name, cells in whole]
    assert hashes == [(rule.name, certificate.source_hash(rule)) for rule in RULES]
    short = certified(root / "README.md")
    assert 5 <= len(short) <= 8
    assert all(cells == dict(whole)[name][:3] for name, cells in short)


def test_a_hash_is_of_the_files_that_a_rule_shares_too():
    """swiglu's: gated.py, silu.py; relu.py has nothing to do with it."""
    module = sys.modules[next(r for r in RULES if r.name == "swiglu").fwd.__module__]
    found = {name.rsplit(".", 1)[1] for name in certificate._shared(module, {})}
    assert {"swiglu", "gated", "silu"} <= found
    assert "relu" not in found


def test_only_what_changed_is_certified_anew(tmp_path, capsys):
    path, table, readme = (tmp_path / name for name in ("c.json", "C.md", "R.md"))
    args = [
        "certify",
        "--names",
        "tanh",
        "swiglu",
        "--level",
        "quick",
        "--mutants",
        "1",
    ]
    args += ["--json", str(path), "--markdown", str(table), "--short", str(readme)]
    assert main(args) == 0
    rows = json.loads(path.read_text())
    rows["rules"][0]["hash"] = "0" * 8
    rows["rules"][1]["keeps"] = "as it was"
    path.write_text(json.dumps(rows))
    capsys.readouterr()
    assert main([*args, "--changed"]) == 0
    assert re.findall(r"^(\w+)  OK", capsys.readouterr().out, re.MULTILINE) == ["tanh"]
    assert "as it was" in table.read_text()
    assert "C.md" in readme.read_text()
    path.write_text("{}")
    assert main([*args, "--changed"]) == 2
