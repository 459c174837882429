"""Whether an installation has what a GPU needs, told without one."""

import pytest

from jaxninja.training.machine import gpu


@pytest.fixture
def installed(monkeypatch):
    """Set the versions of packages and the driver's newest CUDA."""

    def install(driver=None, **packages):
        versions = {name.replace("_", "-"): v for name, v in packages.items()}

        def version(name):
            if name not in versions:
                raise gpu.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(gpu, "version", version)
        monkeypatch.setattr(gpu, "driver_version", lambda: driver)

    return install


CASES = [
    (None, {}, "none: pip install 'jaxninja[cuda13]'"),
    ((12, 4), {}, "none: pip install 'jaxninja[cuda12]'"),
    ((13, 0), {"jax_cuda13_plugin": "0.10.2"}, "jax-cuda13-plugin 0.10.2"),
    (None, {"jax_cuda12_plugin": "0.10.2"}, "jax-cuda12-plugin 0.10.2"),
    ((13, 0), {"jax_cuda13_plugin": "0.9.0"}, "is for jaxlib 0.9.0"),
    ((12, 8), {"jax_cuda13_plugin": "0.10.2"}, "too new, the driver is for CUDA up to"),
]


@pytest.mark.parametrize(("driver", "packages", "expected"), CASES)
def test_the_plugin_must_fit_jaxlib_and_the_driver(
    driver, packages, expected, installed
):
    installed(driver, jaxlib="0.10.2", **packages)
    assert expected in str(gpu.plugin())


def test_a_driver_tells_its_newest_cuda(installed):
    installed((12, 4))
    assert str(gpu.driver()) == "for CUDA up to 12.4"
    installed(None)
    assert str(gpu.driver()).startswith("none: no libcuda.so.1")


def test_where_there_is_no_driver_there_is_none(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libno-such-driver.so.1")
    assert gpu.driver_version() is None
