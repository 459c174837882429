"""Recurrences: state spaces of complex numbers."""

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


def continuous(rng):
    lam = -positive(rng, 4) + 1j * normal(rng, 4, std=2.0)
    b = normal(rng, 4, 3) + 1j * normal(rng, 4, 3)
    return lam, b, positive(rng, 4, low=0.05, high=0.3)


@case(
    "discretize_zoh of S5",
    "discretisation with two outputs",
    continuous,
    Twin(
        "conjugates",
        "sign|function|conjugate",
        "b",
        "The factor of B is conjugated, as PyTorch's convention would have it.",
    ),
    Twin(
        "step of the input",
        "term|path",
        "step",
        "The step gets the part of the decay, not that of the input matrix.",
    ),
    Twin(
        "quotient",
        "term",
        "lam",
        "The denominator of the input's factor is held constant.",
    ),
    narrow=False,
    scales=(1.0,),
)
def zoh_discretise(slip):
    @jax.custom_vjp
    def discretise(lam, b, step):
        decay = jnp.exp(lam * step)
        return decay, ((decay - 1) / lam)[:, None] * b

    def fwd(lam, b, step):
        decay, b_bar = discretise(lam, b, step)
        return (decay, b_bar), dict(lam=lam, b=b, step=step, decay=decay)

    def bwd(res, cotangents):
        gdecay, gb = cotangents
        lam, b, decay = res["lam"], res["b"], res["decay"]
        factor = (decay - 1) / lam
        db = gb * (jnp.conj(factor) if slip == "conjugates" else factor)[:, None]
        dfactor = (gb * b).sum(-1)
        total = gdecay + dfactor / lam
        dlam = total * res["step"] * decay
        if slip != "quotient":
            dlam = dlam - dfactor * factor / lam
        if slip == "step of the input":
            total = gdecay
        return dlam, db, (total * lam * decay).real

    discretise.defvjp(fwd, bwd)
    return discretise, discretise.fun


def s5_args(rng):
    params = {
        "lam_re": -positive(rng, 4),
        "lam_im": normal(rng, 4, std=2.0),
        "b": normal(rng, 4, 3, 2, std=0.5),
        "c": normal(rng, 3, 4, 2, std=0.5),
        "d": normal(rng, 3),
    }
    return params, normal(rng, 6, 3), positive(rng, 4, low=0.1, high=0.5)


@case(
    "the layer of S5, diagonal and complex, by an associative scan",
    "state space",
    s5_args,
    Twin(
        "sign of the imaginary part",
        "sign|conjugate",
        "params",
        "lam_im gets the imaginary part of the gradient, not minus it.",
    ),
    Twin(
        "conjugate pairs",
        "factor|ratio",
        "params",
        "The two of the conjugate pairs is not in the gradient of C.",
    ),
    Twin(
        "state of the same time",
        "index|residual|shift",
        "params step",
        "The decay's gradient meets the state after its step, not the one before.",
    ),
    fixed=(2,),
    narrow=False,
    scales=(1.0,),
)
def s5_layer(slip):
    def pair(x):
        return x[..., 0] + 1j * x[..., 1]

    def unpair(d):
        return jnp.stack([d.real, -d.imag], -1)

    def join(left, right):
        return left[0] * right[0], right[0] * left[1] + right[1]

    def scan(decay, inputs, reverse=False):
        decays = jnp.broadcast_to(decay, inputs.shape)
        return lax.associative_scan(join, (decays, inputs), reverse=reverse)[1]

    def states(params, u, step):
        lam = params["lam_re"] + 1j * params["lam_im"]
        decay = jnp.exp(lam * step)
        gain = jnp.expm1(lam * step) / lam
        return lam, decay, gain, scan(decay, gain * (u @ pair(params["b"]).T))

    @jax.custom_vjp
    def layer(params, u, step):
        x = states(params, u, step)[-1]
        return 2 * (x @ pair(params["c"]).T).real + params["d"] * u

    def fwd(params, u, step):
        return layer.fun(params, u, step), (params, u, step)

    def bwd(res, g):
        params, u, step = res
        lam, decay, gain, x = states(params, u, step)
        b, c = pair(params["b"]), pair(params["c"])
        s = scan(decay, 2 * g @ c, reverse=True)
        before = jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])
        if slip == "state of the same time":
            before = x
        ddecay = (s * before).sum(0)
        dgain = (s * (u @ b.T)).sum(0)
        dz = ddecay * decay + dgain * decay / lam
        dlam = dz * step - dgain * gain / lam
        dstep = (dz * lam).real
        two = 1 if slip == "conjugate pairs" else 2
        sign = 1 if slip == "sign of the imaginary part" else -1
        dparams = {
            "lam_re": dlam.real,
            "lam_im": sign * dlam.imag,
            "b": unpair((s * gain).T @ u),
            "c": unpair(two * g.T @ x),
            "d": (g * u).sum(0),
        }
        return dparams, ((s * gain) @ b).real + params["d"] * g, dstep

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def lru_args(rng):
    nu = normal(rng, 4, mean=-1.0, std=0.3)
    theta = normal(rng, 4, mean=-0.5, std=0.5)
    return nu, theta, normal(rng, 5, 4) + 1j * normal(rng, 5, 4)


@case(
    "the Linear Recurrent Unit (LRU) in its JAX ports",
    "linear recurrence",
    lru_args,
    Twin(
        "gamma is constant",
        "term|path",
        "nu_log",
        "The normaliser depends on nu, its part of the gradient is forgotten.",
    ),
    Twin(
        "outer exponential",
        "factor|function|ratio",
        "theta_log",
        "theta is stored as a logarithm, its exponential isn't pulled back.",
    ),
    Twin(
        "gamma before the scan",
        "factor|residual|operand",
        "nu_log",
        "gamma's gradient meets the inputs after they are multiplied by it.",
    ),
    narrow=False,
    scales=(1.0,),
)
def lru_layer(slip):
    def unit(nu_log, theta_log):
        size = jnp.exp(-jnp.exp(nu_log))
        return size * jnp.exp(1j * jnp.exp(theta_log)), jnp.sqrt(1 - size**2)

    def run(lam, inputs, reverse=False):
        def step(h, b):
            h = lam * h + b
            return h, h

        return lax.scan(step, jnp.zeros_like(inputs[0]), inputs, reverse=reverse)[1]

    @jax.custom_vjp
    def layer(nu_log, theta_log, bu):
        lam, gamma = unit(nu_log, theta_log)
        return run(lam, gamma * bu)

    def fwd(nu_log, theta_log, bu):
        h = layer(nu_log, theta_log, bu)
        return h, (nu_log, theta_log, bu, h)

    def bwd(res, g):
        nu_log, theta_log, bu, h = res
        lam, gamma = unit(nu_log, theta_log)
        s = run(lam, g, reverse=True)
        dlam = (s[1:] * h[:-1]).sum(0)
        seen = gamma * bu if slip == "gamma before the scan" else bu
        dgamma = (s * seen).sum(0).real
        nu, theta = jnp.exp(nu_log), jnp.exp(theta_log)
        dnu = -(dlam * lam).real
        if slip != "gamma is constant":
            dnu = dnu + dgamma * (1 - gamma**2) / gamma
        dtheta = (dlam * 1j * lam).real
        if slip != "outer exponential":
            dtheta = dtheta * theta
        return dnu * nu, dtheta, gamma * s

    layer.defvjp(fwd, bwd)
    return layer, layer.fun
