"""nvcc compiles the kernel for each architecture, into what a multiprocessor has."""

import ctypes
import re
import subprocess

import pytest

from jaxninja.training.kernel import build

NVCC = build.compiler("gpu")
ARCHITECTURES = ("80", "90a", "100")


def known():
    """The architectures of this nvcc: newer ones drop old ones, old ones lack new."""
    listed = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True)
    return {line.removeprefix("compute_") for line in listed.stdout.split()}


def kernel_alone(architecture, folder):
    code = f"arch=compute_{architecture},code=sm_{architecture}"
    options = ["-x", "cu", "-std=c++17", "--fatbin", "-gencode", code]
    return [NVCC, *options, str(build.SOURCE / "gpu.h"), "-o", str(folder / "fatbin")]


@pytest.mark.more  # nvcc knows nothing of JAX
@pytest.mark.skipif(NVCC is None, reason="no nvcc found: it is in the CUDA toolkit")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernel_fits_into_registers(architecture, tmp_path):
    """255 registers a thread at most, none of them spilled: for one block and eight."""
    number = architecture.removesuffix("a")
    if number not in known():
        pytest.skip(f"{NVCC} does not know compute_{number}")
    if architecture == "90a":  # with all that a user's machine builds around it
        arguments = build.command("gpu", "sm_90a", tmp_path / "library.so")
    else:
        arguments = kernel_alone(architecture, tmp_path)
    done = subprocess.run([*arguments, "-Xptxas", "-v"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", done.stderr)]
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    assert len(registers) == 2, done.stderr
    assert max(registers) <= 255
    assert spills == ["0"] * 4


def test_the_shared_memory_is_there(twin):
    """Of one block on an A100, of eight on the smallest GPU that has clusters."""
    size = ctypes.CDLL(str(twin)).jaxninja_shared_bytes
    assert 4 * 12_297 < size(1) <= 163 * 1024
    assert 4 * 12_297 < 8 * size(8) <= 8 * 99 * 1024
