"""External code behind a pure_callback, with its own derivative."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
)

CASES: list[Stranger] = []
case = collect(CASES)

TIMES = np.linspace(0.0, 4.0, 9)
OBSERVED = 1.9 * np.exp(-0.6 * TIMES) + 0.1 * np.cos(7 * TIMES)


def start(rng):
    del rng  # the start of a fit
    numbers = {"amplitude": 2.0, "rate": 0.5, "log_noise": -1.0}
    return ({name: jnp.float32(value) for name, value in numbers.items()},)


@case(
    "a likelihood in NumPy that gives value and gradient at once, wrapped for numpyro",
    "external code",
    start,
    Twin(
        "deviance",
        "ratio|factor|sign",
        "params",
        "The external gradient is that of the deviance, minus twice the logarithm.",
    ),
    Twin(
        "cotangent",
        "cotangent|affine|factor|ratio",
        "params",
        "The kept gradient is given back without the cotangent.",
    ),
    Twin(
        "noise for its logarithm",
        "factor|ratio|operand",
        "params",
        "The gradient of the noise's logarithm is that of the noise.",
    ),
    options=by_reference,
    narrow=False,
    close=1e-6,
)
def blackbox_likelihood(slip):
    def external(amplitude, rate, log_noise):
        """As some code of a colleague: numbers in, logarithm and slopes out."""
        amplitude, rate = float(amplitude), float(rate)
        noise = np.exp(float(log_noise))
        decay = np.exp(-rate * TIMES)
        off = OBSERVED - amplitude * decay
        log = (-0.5 * (off / noise) ** 2 - np.log(noise)).sum()
        d_amplitude = (off * decay).sum() / noise**2
        d_rate = -(off * amplitude * TIMES * decay).sum() / noise**2
        d_noise = (off**2).sum() / noise**3 - len(off) / noise
        if slip != "noise for its logarithm":
            d_noise = d_noise * noise
        slopes = np.array([d_amplitude, d_rate, d_noise])
        return log, -2 * slopes if slip == "deviance" else slopes

    def called(params):
        dtype = params["rate"].dtype

        def host(*numbers):
            log, slopes = external(*numbers)
            return np.asarray(log, dtype), np.asarray(slopes, dtype)

        shapes = jax.ShapeDtypeStruct((), dtype), jax.ShapeDtypeStruct((3,), dtype)
        numbers = (params["amplitude"], params["rate"], params["log_noise"])
        return jax.pure_callback(host, shapes, *numbers, vmap_method="sequential")

    def plain(params):
        noise = jnp.exp(params["log_noise"])
        curve = params["amplitude"] * jnp.exp(-params["rate"] * TIMES)
        off = (OBSERVED - curve) / noise
        return (-0.5 * off**2 - jnp.log(noise)).sum()

    @jax.custom_vjp
    def log_likelihood(params):
        return called(params)[0]

    def fwd(params):
        return called(params)

    def bwd(slopes, g):
        d = slopes if slip == "cotangent" else g * slopes
        return ({"amplitude": d[0], "rate": d[1], "log_noise": d[2]},)

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, plain
