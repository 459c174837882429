"""Normalisations of weights, of filters, of neighbours and of conditions."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def response_args(rng):
    params = {"gain": jnp.ones(3), "bias": jnp.zeros(3), "tau": jnp.full(3, -0.3)}
    return normal(rng, 2, 3, 3, 3), {**params, "eps": jnp.float32(1e-2)}


def raised_response(rng):
    x, params = response_args(rng)
    return x, {**params, "gain": positive(rng, 3), "tau": jnp.full(3, 0.2)}


@case(
    "filter response normalisation with a thresholded linear unit",
    "normalisation",
    response_args,
    Twin(
        "threshold takes all",
        "mask|region|predicate|sum|axis",
        "params",
        "tau gets the cotangents of every entry.",
    ),
    Twin(
        "gain left out of eps",
        "factor|operand",
        "params",
        "The learned epsilon's gradient lacks the gain, 1 at the start.",
        witness=raised_response,
    ),
    Twin(
        "batch in the mean",
        "sum|axis|ratio|factor",
        "x",
        "The squares' mean is pulled back over the batch as well.",
    ),
    fixed=(1,),
    narrow=False,
)
def filter_response_norm(slip):
    @jax.custom_vjp
    def respond(x, params):
        square = (x * x).mean((1, 2), keepdims=True)
        normed = x * lax.rsqrt(square + jnp.abs(params["eps"]))
        y = params["gain"] * normed + params["bias"]
        return jnp.where(y > params["tau"], y, params["tau"])

    def fwd(x, params):
        return respond.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        root = lax.rsqrt((x * x).mean((1, 2), keepdims=True) + jnp.abs(params["eps"]))
        normed = x * root
        above = params["gain"] * normed + params["bias"] > params["tau"]
        dy = jnp.where(above, g, 0)
        dtau = g if slip == "threshold takes all" else g - dy
        dn = dy * params["gain"]
        axes = (0, 1, 2) if slip == "batch in the mean" else (1, 2)
        inner = (dn * normed).mean(axes, keepdims=True)
        dx = root * (dn - normed * inner)
        dz = dy if slip == "gain left out of eps" else dn
        deps = -0.5 * (dz * normed * root**2).sum() * jnp.sign(params["eps"])
        grads = {
            "gain": (dy * normed).sum((0, 1, 2)),
            "bias": dy.sum((0, 1, 2)),
            "tau": dtau.sum((0, 1, 2)),
            "eps": deps,
        }
        return dx, grads

    respond.defvjp(fwd, bwd)
    return respond, respond.fun
