"""These tests compile the same lines in many processes: once is enough.

All of them, and the workers that they start, share one folder of compiled code, which
begins empty; and as in a worker nothing is optimised. Tests of other folders, which one
process may run before and after them, see nothing of it.
"""

import os
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from jaxninja.workbook.process.client import Worker

HERE = Path(__file__).parent
OFF = {
    "jax_enable_compilation_cache": False,
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
    "jax_disable_most_optimizations": False,
}
ALONE = "jax_disable_most_optimizations"  # workers know by themselves
outside: dict[str, str | None] = {}  # the environment, while these tests run


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> dict:
    """JAX's configuration for these tests."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    on = {name: True for name, value in OFF.items() if value is False}
    on["jax_compilation_cache_dir"] = str(folder / "workbook-cache")
    on["jax_persistent_cache_min_compile_time_secs"] = 0.0
    on["jax_persistent_cache_min_entry_size_bytes"] = -1
    return on


@pytest.fixture(autouse=True)
def compiled(shared):
    """Here by JAX's configuration, in workers and kernels by the environment."""
    if not outside:
        for name in shared.keys() - {ALONE}:
            outside[name.upper()] = os.environ.get(name.upper())
            os.environ[name.upper()] = str(shared[name])
        configure(shared)


def pytest_runtest_teardown(nextitem):
    """Before a test of another folder all is as it was, and compiled anew."""
    if outside and (nextitem is None or HERE not in nextitem.path.parents):
        for name, value in outside.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        outside.clear()
        configure(OFF)
        jax.clear_caches()


def configure(settings):
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # else it stays as it was at the first compilation


@pytest.fixture(scope="session")
def _worker():
    with Worker(limit=90.0) as one:
        yield one


@pytest.fixture
def worker(compiled, _worker):
    return _worker
