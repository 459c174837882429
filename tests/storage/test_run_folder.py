"""The run folder: names, lock, metrics, which checkpoints stay."""

import errno
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack

import pytest

from jaxninja.storage import atomic, run_folder
from jaxninja.storage.run_folder import FolderError


def test_the_default_name_is_the_next_free_one(tmp_path):
    made = [
        run_folder.create(tmp_path / "runs", None, "names-network").name
        for _ in range(3)
    ]
    assert made == ["names-network-1", "names-network-2", "names-network-3"]


def test_a_given_name_that_exists_is_refused(tmp_path):
    for name in ("mine", "my own"):
        path = run_folder.create(tmp_path, name, "x", {"config.json": "{}"})
        with pytest.raises(FolderError, match=f"{name} exists already") as error:
            run_folder.create(tmp_path, name, "x")
        assert f"--resume {shlex.quote(str(path))}, or" in str(error.value)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a"])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(FolderError, match="expected a plain name"):
        run_folder.create(tmp_path, name, "x")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_disk_that_refuses_is_one_line(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "the disk says no")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(FolderError, match=r"no run folder .*: the disk says no"):
        run_folder.create(tmp_path / "runs", None, "x")


HOLD = """
import sys, pathlib
from jaxninja.storage import run_folder as folder
with folder.lock(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_write_one_run(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "locked\n"
        message = rf"another process \(pid {other.pid}\)"
        with pytest.raises(FolderError, match=message), run_folder.lock(tmp_path):
            pass
        other.kill()
        other.wait()
        with run_folder.lock(tmp_path):  # the system lifted it
            pass


def test_metrics_survive_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert run_folder.read_metrics(path) == []
    for step in (10, 20, 30):
        run_folder.append_metrics(path, {"step": step, "val_loss": None})
    with path.open("a") as file:
        file.write('{"step": 40, "val')
    assert [m["step"] for m in run_folder.read_metrics(path)] == [10, 20, 30]
    run_folder.cut_metrics(path, 20)
    run_folder.append_metrics(path, {"step": 30, "val_loss": 1.5})
    assert [m["step"] for m in run_folder.read_metrics(path)] == [10, 20, 30]


def checkpoints(path, *steps):
    (path / "checkpoints").mkdir(exist_ok=True)
    for step in steps:
        run_folder.checkpoint_path(path, step).write_text(str(step))


def test_the_last_and_the_best_are_kept(tmp_path):
    checkpoints(tmp_path, 10, 200, 3000)
    run_folder.mark_best(tmp_path, 10)
    run_folder.keep_last(tmp_path, 2)
    assert [p.read_text() for p in run_folder.checkpoints(tmp_path)] == ["200", "3000"]
    assert run_folder.latest_checkpoint(tmp_path).read_text() == "3000"
    assert run_folder.best_checkpoint(tmp_path).read_text() == "10"


def test_no_checkpoint_is_none(tmp_path):
    assert run_folder.latest_checkpoint(tmp_path) is None
    assert run_folder.best_checkpoint(tmp_path) is None


def test_leftovers_of_a_killed_process_are_removed_and_never_read(tmp_path):
    checkpoints(tmp_path, 10)
    leftover = tmp_path / "checkpoints" / f"{atomic.TEMPORARY}abc"
    leftover.write_text("half")
    assert run_folder.checkpoints(tmp_path) == [
        run_folder.checkpoint_path(tmp_path, 10)
    ]
    atomic.remove_temporary(tmp_path)
    assert not leftover.exists()


def test_json_is_strict(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'


@pytest.mark.parametrize("name", [" ", "a ", "a\\b", "a\nb", "a\0b", "a/"])
def test_names_that_would_surprise_are_refused(tmp_path, name):
    with pytest.raises(FolderError, match="expected a plain name"):
        run_folder.create(tmp_path, name, "x")
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_runs_is_called_one(tmp_path):
    (tmp_path / "runs").write_text("")
    for name in (None, "mine"):
        with pytest.raises(FolderError, match="runs is no folder"):
            run_folder.create(tmp_path / "runs", name, "x")


def test_a_disk_that_fills_up_halfway_leaves_no_half_made_run(tmp_path, monkeypatch):
    mkdir = run_folder.Path.mkdir

    def refuse(path, *args, **kwargs):
        if path.name == "checkpoints":
            raise OSError(errno.ENOSPC, "full")
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    for name in (None, "mine"):
        with pytest.raises(FolderError, match="full; pass --runs"):
            run_folder.create(tmp_path, name, "x")
    assert not list(tmp_path.iterdir())


CREATE = """
import sys
from jaxninja.storage import run_folder as folder
print("ready", flush=True)
sys.stdin.read()
for _ in range(20):
    print(folder.create(sys.argv[1], None, "x").name)
"""


def test_processes_that_race_get_different_names(tmp_path):
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        started = (subprocess.Popen(command, **pipes) for _ in range(3))
        racing = [stack.enter_context(process) for process in started]
        assert [p.stdout.readline() for p in racing] == ["ready\n"] * 3
        for p in racing:
            p.stdin.close()
        made = [name for p in racing for name in p.stdout.read().split()]
    assert sorted(made) == sorted(f"x-{n}" for n in range(1, 61))


def test_a_full_disk_does_not_keep_a_run_from_being_locked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", refuse)
    refused = pytest.raises(FolderError, match="pid unknown")
    with run_folder.lock(tmp_path), refused, run_folder.lock(tmp_path):
        pass
    with run_folder.lock(tmp_path):
        pass


def test_an_error_of_the_run_is_not_blamed_on_its_lock(tmp_path):
    with pytest.raises(OSError, match="of the run"), run_folder.lock(tmp_path):
        raise OSError("of the run")


def test_a_folder_that_cannot_be_locked(tmp_path):
    with pytest.raises(FolderError, match="none cannot be written"):
        run_folder.lock(tmp_path / "none").__enter__()


def test_what_is_not_finite_is_null_in_the_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    run_folder.append_metrics(path, {"step": 1, "a": float("nan"), "b": -float("inf")})
    assert path.read_text() == '{"step": 1, "a": null, "b": null}\n'
    with pytest.raises(FolderError, match="none/m cannot be written"):
        run_folder.append_metrics(tmp_path / "none" / "m", {"step": 1})


@pytest.mark.parametrize("line", ["garbage", '{"step": 1', "[1]", "{}", "7"])
def test_an_altered_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n\0\0\n' + line + '\n{"step": 3}\n')
    with pytest.raises(FolderError, match=r"metrics\.jsonl, line 3"):
        run_folder.read_metrics(path)


def test_steps_are_ordered_as_numbers_and_strangers_ignored(tmp_path):
    checkpoints(tmp_path, 100_000_000, 99_999_999, 5)
    (tmp_path / "checkpoints" / "step-old.safetensors").write_text("mine")
    found = [p.read_text() for p in run_folder.checkpoints(tmp_path)]
    assert found == ["5", "99999999", "100000000"]
    run_folder.keep_last(tmp_path, 1)
    latest = run_folder.latest_checkpoint(tmp_path)
    assert latest == run_folder.checkpoint_path(tmp_path, 100_000_000)
    assert (tmp_path / "checkpoints" / "step-old.safetensors").exists()


def test_checkpoints_of_later_steps_are_dropped(tmp_path):
    checkpoints(tmp_path, 1, 2, 3)
    run_folder.drop_after(tmp_path, 2)
    assert [p.read_text() for p in run_folder.checkpoints(tmp_path)] == ["1", "2"]


@pytest.mark.parametrize("count", [0, -1])
def test_at_least_one_checkpoint_is_kept(tmp_path, count):
    checkpoints(tmp_path, 1, 2)
    with pytest.raises(FolderError, match="expected 1 or more"):
        run_folder.keep_last(tmp_path, count)
    assert len(run_folder.checkpoints(tmp_path)) == 2


def test_a_full_disk_loses_neither_the_best_nor_the_metrics(tmp_path, monkeypatch):
    checkpoints(tmp_path, 1, 2)
    run_folder.mark_best(tmp_path, 1)
    metrics = tmp_path / "metrics.jsonl"
    run_folder.append_metrics(metrics, {"step": 9})

    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.raises(FolderError, match=r"best\.safetensors cannot be written: full"):
        run_folder.mark_best(tmp_path, 2)
    with pytest.raises(FolderError, match=r"metrics\.jsonl cannot be written: full"):
        run_folder.cut_metrics(metrics, 3)
    assert run_folder.best_checkpoint(tmp_path).read_text() == "1"
    assert run_folder.read_metrics(metrics) == [{"step": 9}]
