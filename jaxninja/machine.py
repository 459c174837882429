"""What a run runs on: the device, JAX's settings, the versions."""

import platform
from importlib.metadata import version
from typing import Any

import jax

from jaxninja.config import ConfigError

Device = Any  # jax.Device, which is no type to a type checker


def pick_device(name: str) -> Device:
    """The device to run on.

    Raises:
        ConfigError: a GPU was asked for and JAX sees none (never a silent fall-back).
    """
    if name == "auto":
        return jax.local_devices()[0]
    try:
        return jax.local_devices(backend=name)[0]
    except RuntimeError:
        seen = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise ConfigError(
            f"device is {name!r}, but JAX sees only: {seen}; for an NVIDIA GPU install "
            "the extra jaxninja[cuda13] or [cuda12], or pass --device cpu"
        ) from None


def versions() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on."""
    names = ("jaxninja", "jax", "jaxlib", "optax", "numpy")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def config_value(name: str) -> Any:
    """A setting of JAX, its context managers respected."""
    return getattr(jax.config, name)  # set dynamically: a type checker cannot see it
