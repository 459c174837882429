"""The compilation cache, in processes of their own: it is a setting of the process."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxninja.training.machine import compile_cache

CODE = """
import jax, sys
from jaxninja.training.machine import compile_cache
folder = compile_cache.enable()
with compile_cache.watch() as seen:
    square = jax.ShapeDtypeStruct((5, 5), "float32")
    jax.jit(lambda x: x @ x + 3).lower(square).compile()
print(folder, seen, sep="|")
"""


@pytest.fixture
def start(tmp_path):
    """Runs CODE in a fresh process; returns the folder and what was seen."""

    def run(**settings):
        inherited = {k: v for k, v in os.environ.items() if "CACHE" not in k}
        env = inherited | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | settings
        command = [sys.executable, "-c", CODE]
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        return done.stdout.strip().split("|")

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_a_second_start_hits(start, tmp_path):
    folder, first = start()
    assert folder == str(tmp_path / "cache" / "jaxninja" / "xla")
    assert "cache: miss" in first
    assert "cache: hit" in start()[1]


def test_a_setting_of_the_users_is_respected(start, tmp_path):
    mine = str(tmp_path / "mine")
    folder, first = start(JAX_COMPILATION_CACHE_DIR=mine)
    assert folder == mine
    assert f"cache: miss, {mine}" in first
    assert os.listdir(mine)
    slow = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
    unstored = str(tmp_path / "unstored")
    start(JAX_COMPILATION_CACHE_DIR=unstored, **{slow: "1000"})
    assert "miss" in start(JAX_COMPILATION_CACHE_DIR=unstored)[1]


def test_a_damaged_entry_is_replaced(start, tmp_path):
    folder, _ = start()
    (entry,) = (f for f in os.listdir(folder) if f.endswith("-cache"))
    whole = Path(folder, entry).read_bytes()
    Path(folder, entry).write_bytes(whole[:100])
    assert "cache: miss" in start()[1]
    assert len(Path(folder, entry).read_bytes()) > len(whole) / 2
    assert "cache: hit" in start()[1]


def test_other_warnings_are_shown_and_so_is_what_cannot_be_fixed(tmp_path):
    """No entry of that name is there."""
    shown = []
    shown_by = compile_cache.Filter(lambda message, *_: shown.append(str(message)))
    damaged = "Error reading persistent compilation cache entry for 'jit_none_such': ?"
    for text in ("another", damaged):
        shown_by(UserWarning(text), UserWarning, "file.py", 1)
    assert shown == ["another", damaged]


def test_off_is_off(start, tmp_path):
    folder, first = start(JAX_ENABLE_COMPILATION_CACHE="false")
    assert folder == "None"
    assert "not used" in first
    assert not (tmp_path / "cache").exists()


def test_all_processes_of_a_test_run_share_a_folder():
    mine = jax.config.jax_compilation_cache_dir
    code = "import jax; print(jax.config.jax_compilation_cache_dir)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mine == os.environ["JAX_COMPILATION_CACHE_DIR"]
