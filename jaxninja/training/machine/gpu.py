"""What an NVIDIA GPU would need of this installation, and whether it is there."""

import ctypes
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

DRIVER = "libcuda.so.1"
PLUGINS = {13: "jax-cuda13-plugin", 12: "jax-cuda12-plugin"}  # by CUDA's version


class Need(NamedTuple):
    """Something that a GPU needs: what is there, or what to do about it."""

    name: str
    found: str | None
    missing: str = ""

    def __str__(self) -> str:
        return self.found or f"none: {self.missing}"


def needs() -> list[Need]:
    """The driver and JAX's plugin, in the order in which to install them."""
    return [driver(), plugin()]


def driver() -> Need:
    """NVIDIA's driver, which brings a library of its own; it need not see a GPU."""
    name = "GPU driver"
    newest = driver_version()
    if newest is None:
        return Need(name, None, f"no {DRIVER}: install NVIDIA's driver")
    return Need(name, f"for CUDA up to {newest[0]}.{newest[1]}")


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver knows; None where there is no driver."""
    number = ctypes.c_int()
    try:
        failed = ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return None if failed else (number.value // 1000, number.value % 1000 // 10)


def plugin() -> Need:
    """JAX's plugin for CUDA, of jaxlib's version and not too new for the driver."""
    name, jaxlib, newest = "JAX's GPU plugin", version("jaxlib"), driver_version()
    there = {cuda: found for cuda, p in PLUGINS.items() if (found := _version(p))}
    fits = max((c for c in PLUGINS if newest and c <= newest[0]), default=13)
    get = f"pip install 'jaxninja[cuda{fits}]'"
    if not there:
        return Need(name, None, get)
    cuda, found = max(there.items())
    if found != jaxlib:
        return Need(name, None, f"{PLUGINS[cuda]} {found} is for jaxlib {found}; {get}")
    if newest and newest[0] < cuda:
        old = f"the driver is for CUDA up to {newest[0]}.{newest[1]}"
        return Need(name, None, f"{PLUGINS[cuda]} is too new, {old}; {get}")
    return Need(name, f"{PLUGINS[cuda]} {found}")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
