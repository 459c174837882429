"""These tests compile the same lines in many processes: once is enough.

All of them, and the workers that they start, share one folder of compiled code, which
begins empty; and as in a worker nothing is optimised.
"""

import os

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from jaxninja.workbook.client import Worker

OFF = {
    "jax_enable_compilation_cache": False,
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
    "jax_disable_most_optimizations": False,
}


@pytest.fixture(scope="package", autouse=True)
def compiled(tmp_path_factory):
    """Here by JAX's configuration, in workers and kernels by the environment."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    on = {name: True for name, value in OFF.items() if value is False}
    on["jax_compilation_cache_dir"] = str(folder / "workbook-cache")
    on["jax_persistent_cache_min_compile_time_secs"] = 0.0
    on["jax_persistent_cache_min_entry_size_bytes"] = -1
    with pytest.MonkeyPatch.context() as patch:
        for name, value in on.items():
            if name != "jax_disable_most_optimizations":  # workers know by themselves
                patch.setenv(name.upper(), str(value))
        configure(on)
        yield
    configure(OFF)


def configure(settings):
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # else it stays as it was at the first compilation


@pytest.fixture(scope="package")
def worker(compiled):
    with Worker(limit=90.0) as one:
        yield one
