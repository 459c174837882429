"""Units with maxima, learned curves, windows of pixels, coupled gates."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "maxout layers in Thinc (spaCy) and Lasagne",
    "dense layer with a maximum over pieces",
    draw(x=(6, 4), weight=(3, 4, 5), bias=(3, 5)),
    Twin(
        "largest in size",
        "index|function|mask",
        "x weight bias",
        "The piece that is kept for the backward is the largest in absolute value.",
    ),
    Twin(
        "every piece",
        "mask|sum",
        "x weight bias",
        "All the pieces get the cotangent, not only the largest.",
    ),
    Twin(
        "rows averaged",
        "ratio|factor|sum",
        "weight",
        "The weight's gradient is the mean over the batch.",
    ),
)
def maxout_dense(slip):
    def pieces(x, weight, bias):
        return jnp.einsum("bi,pio->pbo", x, weight) + bias[:, None]

    @jax.custom_vjp
    def layer(x, weight, bias):
        return pieces(x, weight, bias).max(0)

    def fwd(x, weight, bias):
        z = pieces(x, weight, bias)
        at = jnp.argmax(jnp.abs(z) if slip == "largest in size" else z, 0)
        return z.max(0), (x, weight, at)

    def bwd(res, g):
        x, weight, at = res
        won = jnp.arange(len(weight))[:, None, None] == at
        if slip == "every piece":
            won = jnp.ones_like(won)
        dz = jnp.where(won, g, 0)
        dweight = jnp.einsum("bi,pbo->pio", x, dz)
        if slip == "rows averaged":
            dweight = dweight / len(x)
        return jnp.einsum("pbo,pio->bi", dz, weight), dweight, dz.sum(1)

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


@case(
    "ACON-C of the ACON paper's code, in YOLOv5's activations",
    "activation with learned curves",
    draw(x=(3, 4, 5), p1=(5,), p2=(5,), beta=(5,)),
    Twin(
        "inner slope",
        "term|factor",
        "x p1 p2",
        "The difference inside the sigmoid is held fixed.",
    ),
    Twin(
        "second slope",
        "term|sign",
        "p2",
        "p2 gets only the part that is outside of the gate.",
    ),
    Twin(
        "beta without square",
        "factor|function",
        "beta",
        "Of the square of the difference one factor is lost.",
    ),
)
def acon_c(slip):
    @jax.custom_vjp
    def act(x, p1, p2, beta):
        d = (p1 - p2) * x
        return d * jax.nn.sigmoid(beta * d) + p2 * x

    def fwd(x, p1, p2, beta):
        return act.fun(x, p1, p2, beta), (x, p1, p2, beta)

    def bwd(res, g):
        x, p1, p2, beta = res
        d = (p1 - p2) * x
        s = jax.nn.sigmoid(beta * d)
        bend = s * (1 - s)
        slope = s if slip == "inner slope" else s + beta * d * bend

        def shared(each):
            return each.reshape(-1, each.shape[-1]).sum(0)

        dx = g * (slope * (p1 - p2) + p2)
        dp1 = shared(g * slope * x)
        dp2 = shared(g * x)
        if slip != "second slope":
            dp2 = dp2 - dp1
        power = d if slip == "beta without square" else d * d
        return dx, dp1, dp2, shared(g * power * bend)

    act.defvjp(fwd, bwd)
    return act, act.fun


@case(
    "FReLU, the funnel activation of YOLOv5 and MegEngine's models",
    "activation of a maximum with a convolution",
    draw(x=(2, 4, 5, 3), kernel=(3, 3, 3), bias=(3,)),
    Twin(
        "kernel not turned",
        "transpose|index",
        "x",
        "The cotangent of the condition is convolved with the kernel as it is.",
    ),
    Twin(
        "other side",
        "swap|mask|predicate",
        "x kernel bias",
        "The pixel gets the gradient where the condition is larger.",
    ),
    Twin(
        "own path only",
        "term|path",
        "x",
        "The path through the condition gives x nothing.",
    ),
)
def frelu_activation(slip):
    def bank(x):
        p = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        h, w = x.shape[1:3]
        rows = [[p[:, i : i + h, j : j + w] for j in range(3)] for i in range(3)]
        return jnp.stack([jnp.stack(row) for row in rows])

    def condition(x, kernel, bias):
        return jnp.einsum("ijbhwc,ijc->bhwc", bank(x), kernel) + bias

    @jax.custom_vjp
    def act(x, kernel, bias):
        return jnp.maximum(x, condition(x, kernel, bias))

    def fwd(x, kernel, bias):
        t = condition(x, kernel, bias)
        return jnp.maximum(x, t), (x, kernel, t > x)

    def bwd(res, g):
        x, kernel, funnel = res
        if slip == "other side":
            funnel = ~funnel
        dt = jnp.where(funnel, g, 0)
        dx = jnp.where(funnel, 0, g)
        turned = kernel if slip == "kernel not turned" else kernel[::-1, ::-1]
        if slip != "own path only":
            dx = dx + jnp.einsum("ijbhwc,ijc->bhwc", bank(dt), turned)
        return dx, jnp.einsum("ijbhwc,bhwc->ijc", bank(x), dt), dt.sum((0, 1, 2))

    act.defvjp(fwd, bwd)
    return act, act.fun


def short_sequences(rng):
    x, h, c, b = draw(x=(5, 3, 2), h=(3, 4), c=(3, 4), b=(12,))(rng)
    weight = normal(rng, 6, 12, std=0.5)
    return x, h, c, weight, b, jnp.array([5, 2, 4], jnp.int32)


@case(
    "LSTM with coupled gates (CIFG) in TensorFlow's CoupledInputForgetGateLSTMCell",
    "recurrence with lengths",
    short_sequences,
    Twin(
        "gates apart",
        "term",
        "x h c weight bias",
        "The forget gate, 1 - i, gives the input gate no gradient.",
    ),
    Twin(
        "padded steps",
        "mask",
        "x h c weight bias",
        "Steps after the end are pulled back as if they had been taken.",
    ),
    Twin(
        "new cell's tanh",
        "residual|operand|function",
        "x h c weight bias",
        "The output's tanh is pulled back at the cell before the step.",
    ),
    scales=(0.1, 1.0),
)
def coupled_gate_lstm(slip):
    def gates(x, h, weight, bias):
        i, o, n = jnp.split(jnp.concatenate([x, h], -1) @ weight + bias, 3, -1)
        return jax.nn.sigmoid(i), jax.nn.sigmoid(o), jnp.tanh(n)

    def run(x, h, c, weight, bias, lengths):
        def step(carry, now):
            x, t = now
            h, c = carry
            i, o, n = gates(x, h, weight, bias)
            new = i * n + (1 - i) * c
            live = (t < lengths)[:, None]
            out = jnp.where(live, o * jnp.tanh(new), h)
            return (out, jnp.where(live, new, c)), (out, h, c)

        return lax.scan(step, (h, c), (x, jnp.arange(len(x))))

    @jax.custom_vjp
    def lstm(x, h, c, weight, bias, lengths):
        (_, last), (outs, _, _) = run(x, h, c, weight, bias, lengths)
        return outs, last

    def fwd(x, h, c, weight, bias, lengths):
        (_, last), (outs, hs, cs) = run(x, h, c, weight, bias, lengths)
        return (outs, last), (x, hs, cs, weight, bias, lengths)

    def bwd(res, g):
        x, hs, cs, weight, bias, lengths = res
        gouts, glast = g

        def step(carry, now):
            dh, dc, dw, db = carry
            x, h, c, gout, t = now
            dh = dh + gout
            i, o, n = gates(x, h, weight, bias)
            live = (t < lengths)[:, None] | (slip == "padded steps")
            end = jnp.tanh(c if slip == "new cell's tanh" else i * n + (1 - i) * c)
            dout = jnp.where(live, dh, 0)
            dnew = jnp.where(live, dc + dh * o * (1 - end * end), 0)
            di = dnew * (n if slip == "gates apart" else n - c)
            real = jnp.tanh(i * n + (1 - i) * c)
            pre = [di * i * (1 - i), dout * real * o * (1 - o), dnew * i * (1 - n * n)]
            dz = jnp.concatenate(pre, -1)
            dx, back = jnp.split(dz @ weight.T, [x.shape[-1]], -1)
            dw = dw + jnp.concatenate([x, h], -1).T @ dz
            dh = jnp.where(live, back, dh)
            dc = jnp.where(live, dnew * (1 - i), dc)
            return (dh, dc, dw, db + dz.sum(0)), dx

        zero = (jnp.zeros_like(hs[0]), glast, 0 * weight, 0 * bias)
        steps = (x, hs, cs, gouts, jnp.arange(len(x)))
        (dh, dc, dw, db), dx = lax.scan(step, zero, steps, reverse=True)
        return dx, dh, dc, dw, db, None

    lstm.defvjp(fwd, bwd)
    return lstm, lstm.fun
