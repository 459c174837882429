"""`jaxninja doctor`: what a bug report or a strange number needs to be understood."""

import os
import platform
from dataclasses import dataclass

import jax
import tyro

from jaxninja.machine import config_value, versions


@dataclass(frozen=True)
class Doctor:
    """Print devices, versions and numerical settings."""


def main(args: list[str]) -> int:
    tyro.cli(Doctor, prog="jaxninja doctor", args=args)
    print(f"{'system':<18} {platform.platform()}, {os.cpu_count()} CPUs")
    for name, value in versions().items():
        print(f"{name:<18} {value}")
    for device in jax.devices():
        print(f"{'device':<18} {device.id}: {device.device_kind} ({device.platform})")
    precision = config_value("jax_default_matmul_precision") or "default"
    if precision == "default" and jax.default_backend() == "gpu":
        precision += " (float32 products may run in TF32)"
    print(f"{'matmul precision':<18} {precision}")
    print(f"{'x64':<18} {'on' if config_value('jax_enable_x64') else 'off'}")
    for name in (
        "XLA_FLAGS",
        "JAX_PLATFORMS",
        "JAX_DEBUG_NANS",
        "CUDA_VISIBLE_DEVICES",
    ):
        print(f"{name:<18} {os.environ.get(name, 'not set')}")
    return 0
