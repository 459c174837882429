"""Every test runs with the jaxtyping annotations of the library checked by beartype."""

import atexit
import functools
import gc
import os
import tempfile
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# What one process of a test run has compiled, no other compiles again, neither xdist's
# workers nor those that tests start. The folder begins empty; a given one is kept.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    programs = tempfile.TemporaryDirectory(prefix="tests-of-jaxninja-")
    atexit.register(programs.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
from jax._src.interpreters import mlir  # after what JAX reads on import

# JAX makes objects by the thousand, and few cycles: at Python's own threshold of 700 a
# twentieth of the time goes into looking for them.
gc.set_threshold(50_000, 20, 20)

# A program is written down in MLIR; to fill a context of it with all its dialects takes
# JAX 4 ms, and more the longer a process runs: nearly a third of the time of all tests.
# One will do, where this version makes it so.
if hasattr(mlir, "make_ir_context"):
    mlir.make_ir_context = functools.cache(mlir.make_ir_context)

# Subpackages are named: the hook on "jaxninja" alone would not reach them.
TYPED = ["jaxninja.rule", "jaxninja.rules", "jaxninja.models", "jaxninja.data.text"]
install_import_hook(TYPED, "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Forget compiled programs before a process has too many: each maps memory, and at
    65,530 maps, Linux's usual limit, XLA crashes the process while it compiles."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > 20_000:
        import jax

        jax.clear_caches()


@pytest.fixture
def x64():
    """Float64 for one test: identities are proved there, rounding elsewhere."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def twin():
    """The path of the kernel's twin, which is built and known to XLA, once like all
    programs; what needs it skips without a compiler."""
    import jax

    from jaxninja.training.kernel import build

    if build.compiler("cpu") is None:
        pytest.skip("no C++ compiler found: put g++ on PATH, or name one in CXX")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.environ["JAX_COMPILATION_CACHE_DIR"])
        build.register(jax.devices("cpu")[0])
        return build.library(jax.devices("cpu")[0]).path
