"""What a function becomes for a GPU, on a machine that has none: `jax.export`."""

import re
import warnings

import jax
from jax import export

# Kernels that jaxlib has for NVIDIA's GPUs begin with the name of CUDA or of one of its
# libraries: cusolver_potrf_ffi, cu_threefry2x32_ffi, __cudnn$convForward.
OF_A_GPU = re.compile(r"_*cu(da|solver|blas|dnn|fft|sparse|hybrid|tensor)?[_$]")


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


def of_no_gpu(names):
    """Those that a GPU does not have, as kernels for CPUs and calls back to Python."""
    return sorted(name for name in names if not OF_A_GPU.match(name))
