"""Dense layers with gates, products, heads and exponential tails."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def highway_inputs(rng):
    params = {
        "transform": {"w": normal(rng, 5, 5, std=0.5), "b": normal(rng, 5)},
        "carry": {"w": normal(rng, 5, 5, std=0.5), "b": normal(rng, 5, mean=-1.0)},
    }
    return normal(rng, 3, 4, 5), params


@case(
    "highway layers in Lasagne and in the ELMo encoder of AllenNLP",
    "dense layer with a gate",
    highway_inputs,
    Twin(
        "carried part",
        "term|path",
        "x",
        "What is carried past the layer gives x no gradient.",
    ),
    Twin(
        "gate of the transform alone",
        "term|operand",
        "params x",
        "The gate's cotangent is multiplied by h in place of h - x.",
    ),
    Twin(
        "not transposed",
        "transpose",
        "x",
        "The cotangent of the gate goes to x by the square matrix as it stands.",
    ),
    scales=(0.1, 1.0),
)
def highway_layer(slip):
    def parts(x, params):
        t, c = params["transform"], params["carry"]
        h = jnp.tanh(x @ t["w"] + t["b"])
        gate = jax.nn.sigmoid(x @ c["w"] + c["b"])
        return h, gate

    @jax.custom_vjp
    def highway(x, params):
        h, gate = parts(x, params)
        return gate * h + (1 - gate) * x

    def fwd(x, params):
        h, gate = parts(x, params)
        return gate * h + (1 - gate) * x, {"x": x, "params": params, "h": h, "g": gate}

    def bwd(res, dy):
        x, params, h, gate = res["x"], res["params"], res["h"], res["g"]
        dh = dy * gate * (1 - h * h)
        through = h if slip == "gate of the transform alone" else h - x
        dgate = dy * through * gate * (1 - gate)
        back = params["carry"]["w"]
        if slip != "not transposed":
            back = back.T
        dx = dh @ params["transform"]["w"].T + dgate @ back
        if slip != "carried part":
            dx = dx + dy * (1 - gate)

        def dense(d):
            d = d.reshape(-1, d.shape[-1])
            return {"w": x.reshape(-1, x.shape[-1]).T @ d, "b": d.sum(0)}

        return dx, {"transform": dense(dh), "carry": dense(dgate)}

    highway.defvjp(fwd, bwd)
    return highway, highway.fun


@case(
    "nn.Bilinear of PyTorch, in ports to JAX",
    "product of two inputs",
    draw(left=(5, 3), right=(5, 3), weight=(2, 3, 3), bias=(2,)),
    Twin(
        "wrong side",
        "transpose|swap|index",
        "right",
        "The weight is contracted over its left axis for the right input too.",
    ),
    Twin(
        "weight swapped",
        "transpose|swap",
        "weight",
        "The gradient of the weight has left and right exchanged.",
    ),
    Twin(
        "mean over the batch",
        "ratio|sum|factor",
        "bias",
        "The bias gets the mean of the rows' cotangents.",
    ),
)
def bilinear_layer(slip):
    @jax.custom_vjp
    def layer(left, right, weight, bias):
        y = jnp.einsum("bi,oij,bj->bo", left, weight, right)
        return y if bias is None else y + bias

    def fwd(left, right, weight, bias):
        return layer.fun(left, right, weight, bias), (left, right, weight, bias)

    def bwd(res, g):
        left, right, weight, bias = res
        dleft = jnp.einsum("bo,oij,bj->bi", g, weight, right)
        form = "bo,oij,bj->bi" if slip == "wrong side" else "bo,oij,bi->bj"
        dright = jnp.einsum(form, g, weight, left)
        form = "bo,bi,bj->oji" if slip == "weight swapped" else "bo,bi,bj->oij"
        dweight = jnp.einsum(form, g, left, right)
        dbias = None
        if bias is not None:
            dbias = g.mean(0) if slip == "mean over the batch" else g.sum(0)
        return dleft, dright, dweight, dbias

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


@case(
    "celu in memory-saving activations, which keep their output (inplace_abn)",
    "activation that keeps its output",
    lambda rng: (normal(rng, 4, 7), 1.7),
    Twin(
        "derivative of elu",
        "option|factor|function",
        "x",
        "1 + y is the slope for alpha = 1 only.",
    ),
    Twin(
        "alpha as a factor",
        "option|factor|function",
        "x",
        "The slope of the tail is y + alpha, elu's.",
    ),
)
def celu(slip):
    def plain(x, alpha):
        low = jnp.minimum(x, 0)
        return jnp.where(x > 0, x, alpha * jnp.expm1(low / alpha))

    act = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, alpha):
        y = plain(x, alpha)
        return y, y

    def bwd(alpha, y, g):
        tail = {"derivative of elu": y + 1, "alpha as a factor": y + alpha}
        tail = tail.get(slip, y / alpha + 1)
        return (jnp.where(y > 0, g, g * tail),)

    act.defvjp(fwd, bwd)
    return act, plain


def dueling_inputs(rng):
    valid = jnp.array([[1, 1, 1, 1, 0], [1, 0, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    return normal(rng, 3, 1), normal(rng, 3, 5), valid


@case(
    "dueling heads with action masks in Tianshou and RLlib",
    "head of values and advantages",
    dueling_inputs,
    Twin(
        "mean over all",
        "ratio|factor|mask",
        "advantage",
        "The mean's pullback divides by the number of actions, valid or not.",
    ),
    Twin(
        "mean is constant",
        "term|path",
        "advantage",
        "The subtracted mean is not differentiated.",
    ),
    Twin(
        "masked actions count",
        "mask|sum",
        "value",
        "The value sums the cotangents of actions that are masked out.",
    ),
)
def dueling_head(slip):
    @jax.custom_vjp
    def head(value, advantage, valid):
        count = jnp.maximum(valid.sum(-1, keepdims=True), 1).astype(advantage.dtype)
        mean = jnp.where(valid, advantage, 0).sum(-1, keepdims=True) / count
        return jnp.where(valid, value + advantage - mean, 0)

    def fwd(value, advantage, valid):
        return head.fun(value, advantage, valid), valid

    def bwd(valid, g):
        kept = jnp.where(valid, g, 0)
        total = kept.sum(-1, keepdims=True)
        count = jnp.maximum(valid.sum(-1, keepdims=True), 1).astype(g.dtype)
        if slip == "mean over all":
            count = jnp.full_like(count, g.shape[-1])
        dadvantage = kept
        if slip != "mean is constant":
            dadvantage = kept - jnp.where(valid, total / count, 0)
        if slip == "masked actions count":
            total = g.sum(-1, keepdims=True)
        return total, dadvantage, None

    head.defvjp(fwd, bwd)
    return head, head.fun


def wavenet_inputs(rng):
    taps = normal(rng, 2, 3, 8, std=0.5)
    return normal(rng, 2, 7, 3), taps, normal(rng, 4, 3), normal(rng, 4, 5), 2


@case(
    "residual blocks of WaveNet in NVIDIA's nv-wavenet and Flax ports",
    "gated convolution with two outputs",
    wavenet_inputs,
    Twin(
        "residual",
        "term|path",
        "x",
        "The sum with the input gives x no gradient.",
    ),
    Twin(
        "skip connection",
        "term|path",
        "taps x",
        "The cotangent of the gated signal lacks the skip output's part.",
    ),
    Twin(
        "dilation",
        "option|index",
        "taps",
        "The gradient of the taps is correlated with neighbours one step apart.",
    ),
)
def wavenet_gate(slip):
    def later(x, by):
        return jnp.pad(x, ((0, 0), (by, 0), (0, 0)))[:, : x.shape[1]]

    def earlier(x, by):
        return jnp.pad(x, ((0, 0), (0, by), (0, 0)))[:, by:]

    def gates(x, taps, dilation):
        n = len(taps)
        z = sum(later(x, dilation * (n - 1 - i)) @ taps[i] for i in range(n))
        a, b = jnp.split(z, 2, -1)
        return jnp.tanh(a), jax.nn.sigmoid(b)

    def plain(x, taps, out, skip, dilation):
        a, b = gates(x, taps, dilation)
        return x + (a * b) @ out, (a * b) @ skip

    block = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, taps, out, skip, dilation):
        a, b = gates(x, taps, dilation)
        h = a * b
        return (x + h @ out, h @ skip), (x, taps, out, skip, a, b)

    def bwd(dilation, res, g):
        x, taps, out, skip, a, b = res
        dy, ds = g
        dh = dy @ out.T
        if slip != "skip connection":
            dh = dh + ds @ skip.T
        dz = jnp.concatenate([dh * b * (1 - a * a), dh * a * b * (1 - b)], -1)
        n = len(taps)
        reach = [dilation * (n - 1 - i) for i in range(n)]
        dx = sum(earlier(dz, r) @ w.T for r, w in zip(reach, taps, strict=True))
        if slip != "residual":
            dx = dx + dy
        if slip == "dilation":
            reach = list(range(n - 1, -1, -1))
        dtaps = jnp.stack([jnp.einsum("btc,btd->cd", later(x, r), dz) for r in reach])
        h = a * b
        dout = jnp.einsum("btd,btc->dc", h, dy)
        return dx, dtaps, dout, jnp.einsum("btd,bts->ds", h, ds)

    block.defvjp(fwd, bwd)
    return block, plain
