"""`jaxninja baseline`: counting's table, on the screen and in a file."""

import json
import math

import pytest

from jaxninja import cli


@pytest.fixture
def words(tmp_path):
    """A file of items in which the next letter follows from the last."""
    file = tmp_path / "words.txt"
    file.write_text("\n".join("ab" * n for n in range(1, 61)) + "\n")
    return file


def test_each_order_has_a_row_and_each_part_a_column(words, capsys, tmp_path):
    out = tmp_path / "table.json"
    wanted = ["--data", str(words), "--order", "3", "--json", str(out)]
    assert cli.main(["baseline", *wanted]) == 0
    shown = capsys.readouterr().out
    rows = json.loads(out.read_text())
    assert {row["order"] for row in rows} == {1, 2, 3}
    for row in rows:
        loss = row["train_loss"]
        assert 0 < loss < math.log(3) + 0.01
        assert f"{row['name']:<18}" in shown
        assert f"{loss:.4f}" in shown
    by_order = {row["order"]: row["train_loss"] for row in rows if "+" in row["name"]}
    assert by_order[1] > by_order[2]
    assert cli.main(["baseline", *wanted, "--split", "makemore"]) == 0
    assert json.loads(out.read_text()) != rows


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--order", "0"], ["order is 0", "1 to 10"]),
        (["--order", "11"], ["order is 11", "1 to 10"]),
        (["--json", "no/such/table.json"], ["no/such"]),
        (["--data", "no-such-file.txt"], ["no-such-file.txt"]),
    ],
)
def test_what_makes_no_sense_is_one_line(options, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["baseline", *options]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 1
    for part in said:
        assert part in err
