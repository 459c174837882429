"""What a function becomes for a GPU, on a machine that has none: `jax.export`."""

import re
import warnings

import jax
from jax import export

# Kernels that jaxlib has for CPUs alone, by the libraries that they stand for.
OF_A_CPU = re.compile("lapack|eigen|ducc|onednn|cpu", re.IGNORECASE)


def calls(function, *args, platform="cuda", allowed=()):
    """Names of the custom calls in what a function of arrays is exported to.

    Args:
        args: arrays, or their shapes and types.
        allowed: custom calls of ours, which are no part of JAX.
    """
    checks = [export.DisabledSafetyCheck.custom_call(name) for name in allowed]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jitted = export.export(
            jax.jit(function), platforms=[platform], disabled_checks=checks
        )
        module = jitted(*args).mlir_module()
    return set(re.findall(r"custom_call @([\w.$]+)", module))


def cpu_only(names):
    return sorted(name for name in names if OF_A_CPU.search(name))
