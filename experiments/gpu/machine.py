"""What the device is, and what it allows: products by precision, and copying."""

import platform
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from experiments.gpu.clock import least
from jaxninja.training.machine.devices import versions
from jaxninja.training.machine.gpu import driver, plugin

PRODUCTS = {
    "float32, exact": ("float32", "highest"),
    "float32, TF32": ("float32", "tensorfloat32"),
    "bfloat16": ("bfloat16", "default"),
}


def measure(tiny: bool) -> Iterator[dict]:
    device = jax.devices()[0]
    yield {"what": "device", "is": f"{device.device_kind} ({device.platform})"}
    about = versions() | {n.name: str(n) for n in (driver(), plugin())}
    for name, value in (about | {"system": platform.platform()}).items():
        yield {"what": name, "is": value}
    for name in PRODUCTS:
        rate = product_rate(name, 64 if tiny else 8192)
        yield {"what": f"product, {name}", "TFLOP/s": rate / 1e12}
    yield {"what": "copy", "GB/s": copy_rate(2**16 if tiny else 2**28) / 1e9}


def product_rate(name: str, n: int) -> float:
    """Operations a second in the product of two n x n matrices."""
    dtype, precision = PRODUCTS[name]
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (n, n), dtype) for key in keys)
    run = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
    return 2 * n**3 / least(lambda: run(a, b))


def copy_rate(size: int) -> float:
    """Bytes a second, read and written, of so many numbers in float32."""
    x = jnp.ones(size)
    run = jax.jit(lambda x: x + 1)
    return 2 * x.nbytes / least(lambda: run(x))
