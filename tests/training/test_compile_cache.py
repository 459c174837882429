"""The compilation cache, in processes of their own: it is a setting of the process."""

import os
import subprocess
import sys

import pytest

CODE = """
import jax, sys
from jaxninja.training import compile_cache
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
        ours = ("JAX_ENABLE_COMPILATION_CACHE", "JAX_COMPILATION_CACHE_DIR")
        inherited = {k: v for k, v in os.environ.items() if k not in ours}
        env = inherited | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | settings
        command = [sys.executable, "-c", CODE]
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
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


def test_off_is_off(start, tmp_path):
    folder, first = start(JAX_ENABLE_COMPILATION_CACHE="false")
    assert folder == "None"
    assert "not used" in first
    assert not (tmp_path / "cache").exists()


def test_it_is_off_in_tests():
    assert os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "false"
