"""The run folder: names, lock, metrics, which checkpoints stay."""

import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxninja import files, folder
from jaxninja.folder import FolderError


def test_the_default_name_is_the_next_free_one(tmp_path):
    made = [
        folder.create(tmp_path / "runs", None, "names-network").name for _ in range(3)
    ]
    assert made == ["names-network-1", "names-network-2", "names-network-3"]


def test_processes_that_race_get_different_names(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        made = list(
            pool.map(lambda _: folder.create(tmp_path, None, "x").name, range(64))
        )
    assert sorted(made) == sorted(f"x-{i}" for i in range(1, 65))


def test_a_given_name_that_exists_is_refused(tmp_path):
    folder.create(tmp_path, "mine", "x")
    with pytest.raises(FolderError, match="mine exists already; pass another --name"):
        folder.create(tmp_path, "mine", "x")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a"])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(FolderError, match="expected a plain name"):
        folder.create(tmp_path, name, "x")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_disk_that_refuses_is_one_line(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "the disk says no")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(
        FolderError, match=r"no run folder .*: the disk says no; pass --runs"
    ):
        folder.create(tmp_path / "runs", None, "x")


def test_a_file_where_the_runs_should_be(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(FolderError, match="runs"):
        folder.create(tmp_path / "runs", None, "x")


HOLD = """
import sys, pathlib
from jaxninja import folder
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
        with pytest.raises(FolderError, match=message), folder.lock(tmp_path):
            pass
        other.kill()
        other.wait()
        with folder.lock(tmp_path):  # the system lifted it
            pass


def test_metrics_survive_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert folder.read_metrics(path) == []
    for step in (10, 20, 30):
        folder.append_metrics(path, {"step": step, "val_loss": None})
    with path.open("a") as file:
        file.write('{"step": 40, "val')
    assert [m["step"] for m in folder.read_metrics(path)] == [10, 20, 30]
    folder.cut_metrics(path, 20)
    folder.append_metrics(path, {"step": 30, "val_loss": 1.5})
    assert [m["step"] for m in folder.read_metrics(path)] == [10, 20, 30]


def checkpoints(path, *steps):
    (path / "checkpoints").mkdir(exist_ok=True)
    for step in steps:
        folder.checkpoint_path(path, step).write_text(str(step))


def test_the_last_and_the_best_are_kept(tmp_path):
    checkpoints(tmp_path, 10, 200, 3000)
    folder.mark_best(tmp_path, 10)
    folder.keep_last(tmp_path, 2)
    assert [p.read_text() for p in folder.checkpoints(tmp_path)] == ["200", "3000"]
    assert folder.latest_checkpoint(tmp_path).read_text() == "3000"
    assert folder.best_checkpoint(tmp_path).read_text() == "10"


def test_no_checkpoint_is_none(tmp_path):
    assert folder.latest_checkpoint(tmp_path) is None
    assert folder.best_checkpoint(tmp_path) is None


def test_leftovers_of_a_killed_process_are_removed_and_never_read(tmp_path):
    checkpoints(tmp_path, 10)
    leftover = tmp_path / "checkpoints" / f"{files.TEMPORARY}abc"
    leftover.write_text("half")
    assert folder.checkpoints(tmp_path) == [folder.checkpoint_path(tmp_path, 10)]
    files.remove_temporary(tmp_path)
    assert not leftover.exists()


def test_json_is_strict(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'
