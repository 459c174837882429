"""Losses and layers of reinforcement learning."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def agents_and_state(rng):
    params = {
        "w1": normal(rng, 5, 3, 6, std=0.4),
        "b1": normal(rng, 5, 6, std=0.4),
        "w2": normal(rng, 5, 6, std=0.4),
        "v": normal(rng, 5, std=0.4),
    }
    return normal(rng, 4, 3), normal(rng, 4, 5), params


@case(
    "QMIX's monotonic mixer in JaxMARL: absolute values of a network's weights",
    "reinforcement learning",
    agents_and_state,
    Twin(
        "signs of the weights",
        "sign|factor|function",
        "state params",
        "The absolute values of the first weights are pulled back as the identity.",
    ),
    Twin(
        "slope of the unit",
        "function|operand|residual",
        "q state params",
        "The exponential unit's slope is taken at its output, not at its input.",
    ),
    Twin(
        "state of the first weights",
        "term|path",
        "state",
        "The state gets nothing through the first layer's weights.",
    ),
)
def qmix_mixer(slip):
    def parts(q, state, params):
        raw1 = jnp.einsum("bs,snh->bnh", state, params["w1"])
        raw2 = state @ params["w2"]
        inner = jnp.einsum("bn,bnh->bh", q, jnp.abs(raw1)) + state @ params["b1"]
        return raw1, raw2, inner

    @jax.custom_vjp
    def mix(q, state, params):
        _, raw2, inner = parts(q, state, params)
        return (jax.nn.elu(inner) * jnp.abs(raw2)).sum(-1) + state @ params["v"]

    def fwd(q, state, params):
        return mix.fun(q, state, params), (q, state, params)

    def bwd(res, g):
        q, state, params = res
        raw1, raw2, inner = parts(q, state, params)
        g = g[:, None]
        hidden = jax.nn.elu(inner)
        draw2 = g * hidden * jnp.sign(raw2)
        at = hidden if slip == "slope of the unit" else inner
        slope = jnp.where(inner > 0, 1, jnp.exp(jnp.minimum(at, 0)))
        dinner = g * jnp.abs(raw2) * slope
        draw1 = q[..., None] * dinner[:, None]
        if slip != "signs of the weights":
            draw1 = draw1 * jnp.sign(raw1)
        dq = jnp.einsum("bh,bnh->bn", dinner, jnp.abs(raw1))
        dstate = dinner @ params["b1"].T + draw2 @ params["w2"].T + g * params["v"]
        if slip != "state of the first weights":
            dstate = dstate + jnp.einsum("bnh,snh->bs", draw1, params["w1"])
        grads = {
            "w1": jnp.einsum("bs,bnh->snh", state, draw1),
            "b1": state.T @ dinner,
            "w2": state.T @ draw2,
            "v": state.T @ g[:, 0],
        }
        return dq, dstate, grads

    mix.defvjp(fwd, bwd)
    return mix, mix.fun


def noisy_layer(rng):
    params = {
        "w": normal(rng, 6, 4, std=0.4),
        "sigma_w": jnp.full((6, 4), 0.5 / 6**0.5, jnp.float32),
        "b": jnp.zeros(4),
        "sigma_b": jnp.full(4, 0.5 / 6**0.5, jnp.float32),
    }
    return normal(rng, 5, 6), params, jax.random.PRNGKey(3)


@case(
    "factorised noisy layers of Rainbow in dopamine's JAX agents, a key given",
    "reinforcement learning",
    noisy_layer,
    Twin(
        "fresh noise",
        "residual|operand|function",
        "x params",
        "The noise is drawn again with a key that was split once more.",
    ),
    Twin(
        "noise of the deviations",
        "factor|operand|term",
        "params",
        "The deviations of the weights are given the gradient of their means.",
    ),
    Twin(
        "mean weights only",
        "term|path",
        "x",
        "The inputs are pulled back through the weights without their noise.",
    ),
    options=lambda plain: {"nondiff": ("key",)},
)
def noisy_dense(slip):
    def noise(params, key):
        def signed_root(e):
            return jnp.sign(e) * jnp.sqrt(jnp.abs(e))

        rows, columns = jax.random.split(key)
        n, m = params["w"].shape
        dtype = params["w"].dtype
        into = signed_root(jax.random.normal(rows, (n,), dtype))
        out = signed_root(jax.random.normal(columns, (m,), dtype))
        return into[:, None] * out, out

    @jax.custom_vjp
    def layer(x, params, key):
        outer, out = noise(params, key)
        weights = params["w"] + params["sigma_w"] * outer
        return x @ weights + params["b"] + params["sigma_b"] * out

    def fwd(x, params, key):
        return layer.fun(x, params, key), (x, params, key)

    def bwd(res, g):
        x, params, key = res
        if slip == "fresh noise":
            key = jax.random.split(key)[0]
        outer, out = noise(params, key)
        dw, db = x.T @ g, g.sum(0)
        weights = params["w"]
        if slip != "mean weights only":
            weights = weights + params["sigma_w"] * outer
        dsigma = dw if slip == "noise of the deviations" else dw * outer
        grads = {"w": dw, "sigma_w": dsigma, "b": db, "sigma_b": db * out}
        return g @ weights.T, grads, None

    layer.defvjp(fwd, bwd)
    return layer, layer.fun
