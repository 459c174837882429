"""What a run runs on: the device, JAX's settings, the versions."""

import os
import platform
from importlib.metadata import version
from typing import Any

import jax

from jaxninja.training.config import ConfigError

Device = Any  # jax.Device, which is no type to a type checker


def no_device() -> str | None:
    """Why JAX cannot compute here, in a line; None if it can."""
    try:
        jax.block_until_ready(jax.device_put(0))
    except (RuntimeError, AssertionError, ValueError) as error:
        names = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
        given = [f"{n}={os.environ[n]!r}" for n in names if os.environ.get(n)]
        why = (str(error).splitlines() or ["there is no such device"])[0]
        where = f" with {', '.join(given)}: correct or unset it" if given else ""
        return f"JAX finds no device to compute on{where} ({why})"
    return None


def need_device() -> None:
    """Call it before anything is computed.

    Raises:
        ConfigError: JAX finds no device.
    """
    if why := no_device():
        raise ConfigError(why)


def cpu_at_least() -> None:
    """Let JAX compute on the CPU if it finds nothing that it was told to look for.

    For what needs no particular device, and may not fail over a setting of one.
    """
    if no_device():
        jax.config.update("jax_platforms", "cpu")


def pick_device(name: str) -> Device:
    """The device to run on.

    Raises:
        ConfigError: JAX finds none, or a GPU was asked for and it sees none (never a
            silent fall-back).
    """
    if name == "cpu":
        cpu_at_least()
    need_device()
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


def default_device() -> Device:
    """Where JAX computes what was placed nowhere."""
    chosen = config_value("jax_default_device")
    if isinstance(chosen, str):  # a platform
        return jax.local_devices(backend=chosen)[0]
    return chosen or jax.local_devices()[0]


def versions() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on."""
    names = ("jaxninja", "jax", "jaxlib", "optax", "numpy")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def config_value(name: str) -> Any:
    """A setting of JAX, its context managers respected."""
    return getattr(jax.config, name)  # set dynamically: a type checker cannot see it
