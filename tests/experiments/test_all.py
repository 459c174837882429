"""One command makes every result again, and knows what is older than its code."""

import json
import re
from functools import cache

import pytest

from experiments import all as everything
from experiments.all import PARTS, ROOT, Part, age, digest, main, recorded

INDEX = (ROOT / "experiments" / "README.md").read_text()
# A look in a minute, no figures kept; what needs a file or a GPU; and the README's own.
LOOKS = {"step_speed", "my_rule", "gpt2.llmc_losses", "gpu", "all"}


CODE = cache(everything._code)


@pytest.fixture
def read_once(monkeypatch):
    """A file of many parts is parsed for one of them."""
    monkeypatch.setattr(everything, "_code", CODE)


def modules(text):
    return set(re.findall(r"python -m experiments\.([\w.]+)", text))


def test_every_answer_of_the_index_is_a_part():
    commands = " ".join(c for part in PARTS.values() for c in part.commands)
    assert modules(INDEX) - LOOKS == modules(commands) - LOOKS


def test_what_the_parts_measure_is_there(read_once):
    for part in PARTS.values():
        assert len(digest(part.code)) == 12


def test_results_name_the_code_that_they_are_of(read_once):
    """What is older is told as a skipped test with its reason (pytest -rs)."""
    record = recorded()
    assert set(record) <= set(PARTS)
    for row in record.values():
        assert {"date", "versions", "device", "code", "seconds", "exit"} <= row.keys()
    old = [n for n, row in record.items() if "older" in age(PARTS[n], row)]
    if old:
        pytest.skip(f"older than their code: {', '.join(old)}")


def test_only_code_counts(tmp_path):
    file = tmp_path / "f.py"
    hashes = []
    for text in (
        "def f(x):\n    return x\n",
        '"""f"""\ndef f(x):  # a\n    return x\n',
    ):
        file.write_text(text)
        hashes.append(digest(["f.py"], tmp_path))
    file.write_text("def f(x):\n    return -x\n")
    hashes.append(digest(["f.py"], tmp_path))
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_was_done_is_left_alone_and_what_failed_runs_again(tmp_path, capsys):
    again = tmp_path / "again"
    once = f"import pathlib; p = pathlib.Path({str(again)!r}); p.exists() or 1 / 0"
    code = ("experiments/all.py",)
    parts = {
        "good": Part(("python -c 'print(6 * 7)'",), code, 1),
        "bad": Part((f'python -c "{once}"',), code, 1),
    }
    results = ["--results", str(tmp_path / "results")]
    assert main(results, parts) == 1
    out = capsys.readouterr().out
    assert "2 of 2" in out
    assert "42" in out
    assert "failed: bad" in out
    kept = tmp_path / "results" / "output"
    assert "42" in (kept / "good.txt").read_text()
    assert "ZeroDivisionError" in (kept / "bad.txt").read_text()
    again.write_text("")
    assert main(results, parts) == 0
    assert "1 of 2" in capsys.readouterr().out
    record = json.loads((tmp_path / "results" / "measured.json").read_text())
    record["good"]["code"] = "0"
    (tmp_path / "results" / "measured.json").write_text(json.dumps(record))
    assert main([*results, "--list"], parts) == 0
    good, bad = capsys.readouterr().out.splitlines()
    assert "older than its code" in good
    assert "as its code is" in bad


def test_an_unknown_part_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        everything.main(["--only", "nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err
