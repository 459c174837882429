"""The library is built once, where there is a compiler; else one line says so."""

import re
import shutil
from types import SimpleNamespace

import jax
import pytest

from jaxninja.training.kernel import build
from jaxninja.training.kernel.build import KernelError

CPU = SimpleNamespace(platform="cpu")
GPU = SimpleNamespace(platform="gpu", compute_capability="9.0")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A compiler that writes what it is told to, and counts how often it is run."""
    script = tmp_path / "fake-g++"
    script.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && exit\n'
        f"echo >>{tmp_path}/runs\n"
        'for last; do :; done; echo library >"$last"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setenv("CUDACXX", str(script))
    return script


def runs(folder):
    return len((folder / "runs").read_text().splitlines())


@pytest.mark.parametrize("device", [CPU, GPU], ids=["cpu", "gpu"])
def test_a_library_is_built_once(device, fake, tmp_path, monkeypatch):
    first = build.library(device, tmp_path / "cache")
    assert first.seconds is not None
    assert build.library(device, tmp_path / "cache") == (first.path, None)
    assert runs(tmp_path) == 1
    monkeypatch.setattr(build, "SHARED", ("-std=c++20",))
    assert build.library(device, tmp_path / "cache").path != first.path
    assert runs(tmp_path) == 2
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {".so"}


def test_a_gpu_has_a_library_of_its_architecture(fake, tmp_path):
    path = build.library(GPU, tmp_path).path
    other = SimpleNamespace(platform="gpu", compute_capability="8.0")
    assert "sm_90" in path.name
    assert "-arch=sm_80" in build.command("gpu", build.architecture_of(other), path)


@pytest.mark.parametrize(
    ("device", "named"), [(CPU, ("g++", "CXX")), (GPU, ("nvcc", "CUDACXX"))]
)
def test_without_a_compiler_one_line_says_what_to_install(
    device, named, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(KernelError) as error:
        build.library(device, tmp_path)
    text = str(error.value)
    assert all(word in text for word in (*named, "--engine xla"))
    assert "\n" not in text


def test_a_compiler_that_fails_is_quoted(fake, tmp_path):
    fake.write_text("#!/bin/sh\necho 'phases.h:7: error: no such thing' >&2; exit 1\n")
    with pytest.raises(KernelError, match="no such thing"):
        build.library(CPU, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(fake, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError, match=re.escape(str(tmp_path / "file"))):
        build.library(CPU, tmp_path / "file")


@pytest.mark.parametrize(
    "other",
    [
        SimpleNamespace(platform="tpu", device_kind="TPU v5"),
        SimpleNamespace(
            platform="gpu", device_kind="MI300X", compute_capability="gfx9"
        ),
    ],
)
def test_no_other_device_has_a_kernel(other, tmp_path):
    with pytest.raises(KernelError, match=f"not for {other.device_kind}"):
        build.library(other, tmp_path)


def test_float64_is_refused(x64):
    with pytest.raises(KernelError, match="JAX_ENABLE_X64"):
        build.register(jax.devices("cpu")[0])
