"""What commands print on a terminal of 40 and of 80 columns, and in a pipe."""

import pytest

from jaxninja.cli import sweep
from jaxninja.cli.process.lines import show

LOSSES = "losses     train 2.1737, val 2.2225, clean val 2.2225, test 2.2053  (nats; "
LOSSES += "batchnorm calibrated on train)"
ROW = {"lr": 0.05, "members": 3, "failed": 1, "val_loss least": 2.3597}
ROW |= {f"{part}_loss {k}": 2.3749 for part in ("train", "val") for k in ("mean", "sd")}


@pytest.mark.parametrize("columns", [40, 80])
def test_a_long_line_goes_on_below_what_it_says(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    show(f"{LOSSES}\nspeed      7 steps/s")
    first, *rest, last = capsys.readouterr().out.splitlines()
    assert max(map(len, (first, *rest))) <= columns
    assert first.startswith("losses     train 2.1737, ")
    assert all(line.startswith(" " * 11) for line in rest)
    assert " ".join((first, *rest)).split() == LOSSES.split()
    assert last == "speed      7 steps/s"


def test_in_a_pipe_a_line_stays_whole(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    show(LOSSES)
    assert capsys.readouterr().out == f"{LOSSES}\n"


@pytest.mark.parametrize("columns", [40, 80])
def test_a_sweep_has_a_table_where_there_is_room(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sweep, "summary", lambda rows: [ROW])
    sweep._tell([{"path": "runs/s/lr-0.05-seed-0"}])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert ("members  failed" in out) == (columns == 80)
    for said in ("0.05", "2.3749 (", "2.3597"):
        assert said in out
