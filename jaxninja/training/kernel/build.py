"""The kernel's library: built where it is first used, and kept in the per-user cache.

Its name there is a hash of the source, the command and the versions of compiler and
jaxlib: whatever changes is built anew, and nothing is built twice.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import platformdirs

from jaxninja.errors import UserError

SOURCE = Path(__file__).parent
HEADERS = ("memory.h", "phases.h", "call.h", "gpu.h")
SHARED = ("-std=c++17", "-shared")
CPU = ("-O2", "-fPIC", "-ffp-contract=off")  # one order of rounding on any machine
GPU = ("-O3", "-Xcompiler", "-fPIC")
# Compute capabilities whose multiprocessors have room for a whole network, below 9.0,
# from which on it may be divided among several.
ROOMY = ("80", "87")

NEEDED = {
    "cpu": "a C++ compiler (put g++ on PATH, or name one in CXX)",
    "gpu": "nvcc of the CUDA toolkit (put it on PATH, or name it in CUDACXX)",
}


class KernelError(UserError, RuntimeError):
    """The kernel cannot be built here; the message says what is missing."""


class Library(NamedTuple):
    """A built library."""

    path: Path
    seconds: float | None  # that building took; None if it was there


def compiler(platform: str) -> str | None:
    """nvcc for a GPU, a C++ compiler for a CPU, or None if there is none.

    CUDACXX or CXX names it; else it is looked for on PATH, and nvcc where CUDA is.
    """
    if platform == "cpu":
        names = (os.environ.get("CXX"), "g++", "c++", "clang++")
    else:
        home = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
        names = (os.environ.get("CUDACXX"), "nvcc", str(home / "bin" / "nvcc"))
    return next((found for n in names if n and (found := shutil.which(n))), None)


def expect_compiler(platform: str) -> str:
    """The compiler for this platform.

    Raises:
        KernelError: there is none.
    """
    if found := compiler(platform):
        return found
    raise KernelError(
        f"the kernel is built where it is first used, by {NEEDED[platform]}, and none "
        "was found; without one: --engine xla"
    )


def command(platform: str, architecture: str, to: Path) -> list[str]:
    """The command that builds the library.

    Args:
        platform: cpu or gpu.
        architecture: of a GPU, as sm_90a.
        to: the library.
    """
    found = expect_compiler(platform)
    flags, file = (CPU, "twin.cc") if platform == "cpu" else (GPU, "gpu.cu")
    flags += () if platform == "cpu" else (f"-arch={architecture}",)
    headers = ("-isystem", jax.ffi.include_dir())
    return [found, *SHARED, *flags, *headers, str(SOURCE / file), "-o", str(to)]


def library(device: Any, cache: Path | None = None) -> Library:
    """The library for a device, built if the cache has none.

    Args:
        device: of JAX, a CPU or an NVIDIA GPU.
        cache: folder; by default the user's cache folder of this platform.

    Raises:
        KernelError: there is no compiler, or it fails.
    """
    platform, architecture = device.platform, architecture_of(device)
    cache = cache or Path(platformdirs.user_cache_dir("jaxninja")) / "kernel"
    path = cache / f"{_fingerprint(platform, architecture)}.so"
    if path.exists():
        return Library(path, None)
    clock = time.perf_counter()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = Path(folder) / path.name
            _run(command(platform, architecture, built))
            os.replace(built, path)  # no other process ever sees half a file
    except OSError as error:
        raise KernelError(f"{cache} cannot be written: {error.strerror}") from None
    return Library(path, time.perf_counter() - clock)


def architecture_of(device: Any) -> str:
    """sm_90 for an NVIDIA GPU of compute capability 9.0; nothing for a CPU.

    Raises:
        KernelError: it is neither, or has too little shared memory.
    """
    if device.platform == "cpu":
        return ""
    number = str(getattr(device, "compute_capability", "")).replace(".", "")
    kind = getattr(device, "device_kind", device.platform)
    if device.platform != "gpu" or not number.isdigit():
        raise KernelError(f"the kernel is for CPUs and NVIDIA's GPUs, not for {kind}")
    if int(number) < 90 and number not in ROOMY:
        raise KernelError(
            f"{kind}, of compute capability {device.compute_capability}, has no room "
            "for the kernel: it needs 8.0, 8.7, or 9.0 and above; use --engine xla"
        )
    return f"sm_{number}"


def target() -> str:
    """The name by which compiled programs call this source, on a CPU as on a GPU."""
    return f"jaxninja_train_{_hash(*_source())}"


def register(device: Any) -> str:
    """Let XLA find the kernel on this device, which is once; one line about it.

    Raises:
        KernelError: see `library`; or JAX is set to float64.
    """
    if jnp.result_type(float) != jnp.float32:
        raise KernelError(
            "the kernel is in float32, and JAX is set to float64: unset "
            "JAX_ENABLE_X64, or pass --engine xla"
        )
    return _registered(device)


@lru_cache(maxsize=4)
def _registered(device: Any) -> str:
    found = library(device)
    handlers = ctypes.CDLL(str(found.path))
    on = {"cpu": "cpu", "gpu": "CUDA"}[device.platform]
    handler = jax.ffi.pycapsule(handlers.JaxninjaTrain)
    jax.ffi.register_ffi_target(target(), handler, platform=on)
    if device.platform == "cpu":  # for proof: in any order, and without a barrier
        prove = jax.ffi.pycapsule(handlers.JaxninjaProve)
        jax.ffi.register_ffi_target(f"{target()}_prove", prove, platform=on)
    took = "" if found.seconds is None else f", built in {found.seconds:.1f} s"
    twin = "its twin on a CPU, for proof and not for speed: " * (on == "cpu")
    return f"{twin}{found.path}{took}"


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = (done.stderr + done.stdout).splitlines()
        errors = [line for line in lines if "error" in line.lower()]
        what = (errors or lines or ["it says nothing"])[0].strip()
        raise KernelError(
            f"{arguments[0]} cannot build the kernel ({what}); without it: --engine xla"
        )


def _source() -> tuple[bytes, ...]:
    files = (*HEADERS, "twin.cc", "gpu.cu")
    return tuple((SOURCE / name).read_bytes() for name in files)


def _fingerprint(platform: str, architecture: str) -> str:
    arguments = command(platform, architecture, Path("library"))
    about = subprocess.run([arguments[0], "--version"], capture_output=True).stdout
    texts = (" ".join(arguments).encode(), about, version("jaxlib").encode())
    return f"{platform}-{architecture or 'cpu'}-{_hash(*_source(), *texts)}"


def _hash(*texts: bytes) -> str:
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
