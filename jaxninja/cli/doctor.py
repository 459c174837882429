"""`jaxninja doctor`: what a bug report or a strange number needs to be understood."""

import os
import platform
from dataclasses import dataclass

import jax

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.environment import left_out
from jaxninja.training.kernel import build
from jaxninja.training.machine import gpu
from jaxninja.training.machine.devices import config_value, no_device, versions

VARIABLES = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_DEBUG_NANS", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Doctor:
    """Print devices, versions, what a GPU would need, and numerical settings.

    Example: jaxninja doctor
    """


def main(args: list[str]) -> int:
    parsed(Doctor, "doctor", args)
    print(f"{'system':<18} {platform.platform()}, {os.cpu_count()} CPUs")
    for name, value in versions().items():
        print(f"{name:<18} {value}")
    why = no_device()
    for device in () if why else jax.devices():
        print(f"{'device':<18} {device.id}: {device.device_kind} ({device.platform})")
    if why:
        print(f"{'device':<18} none: {why}")
    for name, value in for_a_gpu().items():
        print(f"{name:<18} {value}")
    precision = config_value("jax_default_matmul_precision") or "default"
    if precision == "default" and not why and jax.default_backend() == "gpu":
        precision += " (float32 products may run in TF32)"
    print(f"{'matmul precision':<18} {precision}")
    print(f"{'x64':<18} {'on' if config_value('jax_enable_x64') else 'off'}")
    for name in dict.fromkeys((*VARIABLES, *left_out)):
        refused = f"{left_out.get(name)} (refused, so left out)"
        value = refused if name in left_out else os.environ.get(name, "not set")
        print(f"{name:<18} {value}")
    return 0


def for_a_gpu() -> dict[str, str]:
    """What training on a GPU and its kernel need: what is there, or what to do."""
    needs = {need.name: str(need) for need in gpu.needs()}
    compilers = {
        "nvcc": ("gpu", "for --engine kernel"),
        "C++ compiler": ("cpu", "for the twin of --engine kernel"),
    }
    for name, (kind, purpose) in compilers.items():
        found = build.compiler(kind)
        needs[name] = f"{found}, {purpose}" if found else f"none: {build.NEEDED[kind]}"
    return needs
