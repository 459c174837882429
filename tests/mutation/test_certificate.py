"""The certificate of a rule, and that it is of the rules as they are."""

import json
import re
import sys
from pathlib import Path

import pytest

from jaxninja.cli import main
from jaxninja.mutation import certificate
from jaxninja.rules import RULES
from jaxninja.storage import atomic


def test_a_certificate_of_one_rule(tmp_path, capsys):
    path, table = tmp_path / "c.json", tmp_path / "R.md"
    table.write_text(f"# mine\n{certificate.BEGIN}\nold\n{certificate.END}\nrest\n")
    args = ["--level", "quick", "--mutants", "2"]
    files = ["--json", str(path), "--markdown", str(table)]
    assert main(["certify", "tanh", *args, *files]) == 0
    (row,) = json.loads(path.read_text())["rules"]
    assert (row["name"], row["verdict"]) == ("tanh", "ok")
    assert row["killed"] == row["mutants"] == 2
    assert row["hash"] in table.read_text()
    assert table.read_text().startswith("# mine\n")
    assert table.read_text().endswith("rest\n")
    assert "old" not in table.read_text()
    out = capsys.readouterr().out
    assert "mutants refused: 2 of 2" in out
    assert "right under:" not in out  # quick tries no transformation


def test_an_unknown_rule_is_refused(capsys):
    assert main(["certify", "tang"]) == 2
    assert "no rule 'tang'" in (told := capsys.readouterr().err)
    assert told.endswith("; did you mean 'tanh'?\n")


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


@pytest.fixture
def uncomputed(monkeypatch):
    """Rows that nobody checked; and the names of the rules they are asked for."""
    asked = []

    def row(rule, *_):
        asked.append(rule.name)
        of = certificate._file(rule), certificate.source_hash(rule)
        return certificate.Row(rule.name, *of, "ok", {}, (), (), "", 1, 1, 2, 2, ())

    monkeypatch.setattr(certificate, "certify", row)
    return asked


def test_only_what_changed_is_certified_anew(uncomputed, tmp_path, capsys):
    path, table, readme = (tmp_path / name for name in ("c.json", "C.md", "R.md"))
    args = [
        "certify",
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


@pytest.mark.parametrize(
    ("asked", "header", "kept"),
    [
        ({}, {}, True),
        ({}, {"mutants": None}, True),  # an older file: its rows have 2
        ({"level": "standard"}, {}, False),
        ({"seed": 1}, {}, False),
        ({"mutants": 3}, {}, False),
        ({}, {"environment": {"jax": "0.0.1"}}, False),
    ],
)
def test_rows_are_kept_under_the_same_conditions_alone(
    asked, header, kept, uncomputed, tmp_path, capsys
):
    path = tmp_path / "c.json"

    def certify(*names, level="quick", seed=0, mutants=2):
        options = ["--json", path, "--level", level, "--seed", seed]
        words = ["certify", "--mutants", mutants, *names, *options]
        assert main([*map(str, words), "--changed"]) == 0
        return certificate.conditions(level, seed, mutants)

    made = certify("relu", "tanh") | header
    rows = json.loads(path.read_text())["rules"]
    written = {k: v for k, v in made.items() if v is not None} | {"rules": rows}
    path.write_text(json.dumps(written))
    del uncomputed[:]
    now = certify("relu", **asked)
    assert uncomputed == ([] if kept else ["relu"])
    found, rows = certificate.read(path)
    assert found == now
    assert [row.name for row in rows] == (["tanh", "relu"] if kept else ["relu"])
    assert ("no row of it is kept" in capsys.readouterr().out) == (not kept)


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_disk_that_is_full_costs_no_certificate(
    option, uncomputed, tmp_path, capsys, monkeypatch
):
    def refuse(*_):
        raise OSError(28, "full")

    path = tmp_path / "c"
    path.write_text("before")
    monkeypatch.setattr(atomic.os, "fsync", refuse)
    assert main(["certify", "relu", option, str(path)]) == 2
    assert "full" in capsys.readouterr().err
    assert path.read_text() == "before"


def test_the_committed_certificate_is_read():
    root = Path(certificate.__file__).parents[2]
    made, rows = certificate.read(root / "experiments" / "certificate.json")
    assert (made["level"], made["seed"]) == ("full", 0)
    assert made["mutants"] == max(row.mutants for row in rows)
    assert len(rows) == len(RULES)
