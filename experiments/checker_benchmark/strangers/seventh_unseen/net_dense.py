"""Dense and convolutional layers of every day, pooling and softmax."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def feed_forward(rng):
    params = {
        "up": normal(rng, 4, 7, std=0.5),
        "up_bias": normal(rng, 7, std=0.5),
        "down": normal(rng, 7, 4, std=0.5),
        "down_bias": normal(rng, 4),
    }
    return normal(rng, 2, 3, 4), params


@case(
    "the MLP block of a transformer with GELU in tanh's form (flax, haiku)",
    "layer with a pytree",
    feed_forward,
    Twin(
        "inner cubic",
        "term|function|factor",
        "x params",
        "The cubic within tanh isn't differentiated.",
    ),
    Twin(
        "saved before GELU",
        "residual|operand",
        "params",
        "down's gradient meets the pre-activation and not the activation.",
    ),
)
def gelu_mlp(slip):
    root = 0.7978845608028654

    @jax.custom_vjp
    def mlp(x, params):
        h = jax.nn.gelu(x @ params["up"] + params["up_bias"], approximate=True)
        return h @ params["down"] + params["down_bias"]

    def fwd(x, params):
        return mlp(x, params), (x, params, x @ params["up"] + params["up_bias"])

    def slope(z):
        t = jnp.tanh(root * (z + 0.044715 * z**3))
        inner = root * (1 + 3 * 0.044715 * z**2)
        if slip == "inner cubic":
            inner = root
        return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner

    def bwd(res, g):
        x, params, z = res
        h = z if slip == "saved before GELU" else jax.nn.gelu(z, approximate=True)
        dz = (g @ params["down"].T) * slope(z)
        dparams = {
            "up": jnp.tensordot(x, dz, ((0, 1), (0, 1))),
            "up_bias": dz.sum((0, 1)),
            "down": jnp.tensordot(h, g, ((0, 1), (0, 1))),
            "down_bias": g.sum((0, 1)),
        }
        return dz @ params["up"].T, dparams

    mlp.defvjp(fwd, bwd)
    return mlp, mlp.fun


@case(
    "DenseGeneral into heads in flax.linen",
    "dense layer",
    lambda rng: (normal(rng, 2, 3, 4), normal(rng, 4, 2, 5), normal(rng, 2, 5)),
    Twin(
        "batch only",
        "sum|index",
        "bias",
        "The bias is summed over the batch and averaged over time.",
    ),
    Twin(
        "heads mixed",
        "transpose|index|swap",
        "kernel",
        "The kernel's gradient is reshaped with heads and features exchanged.",
    ),
)
def dense_general(slip):
    @jax.custom_vjp
    def dense(x, kernel, bias):
        return jnp.einsum("btd,dhf->bthf", x, kernel) + bias

    def fwd(x, kernel, bias):
        return dense(x, kernel, bias), (x, kernel)

    def bwd(res, g):
        x, kernel = res
        dx = jnp.einsum("bthf,dhf->btd", g, kernel)
        order = "dfh" if slip == "heads mixed" else "dhf"
        dkernel = jnp.einsum(f"btd,bthf->{order}", x, g).reshape(kernel.shape)
        dbias = g.sum(0)
        dbias = dbias.mean(0) if slip == "batch only" else dbias.sum(0)
        return dx, dkernel, dbias

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


@case(
    "a fused convolution, bias and ReLU in NHWC",
    "convolution",
    lambda rng: (normal(rng, 2, 5, 6, 2), normal(rng, 3, 3, 2, 4), normal(rng, 4)),
    Twin(
        "unflipped",
        "transpose|index|function",
        "x",
        "The kernel isn't turned around for the gradient of the image.",
    ),
    Twin(
        "mask of the image's side",
        "mask",
        "bias",
        "The bias gets the cotangent without the mask of ReLU.",
    ),
    Twin(
        "mean over pixels",
        "factor|ratio|sum",
        "bias",
        "The bias gets a mean over the pixels of an image.",
    ),
)
def conv2d_bias_relu(slip):
    numbers = ("NHWC", "HWIO", "NHWC")

    def conv(x, kernel, padding="SAME"):
        return lax.conv_general_dilated(
            x, kernel, (1, 1), padding, dimension_numbers=numbers
        )

    @jax.custom_vjp
    def layer(x, kernel, bias):
        return jax.nn.relu(conv(x, kernel) + bias)

    def fwd(x, kernel, bias):
        out = layer(x, kernel, bias)
        return out, (x, kernel, out)

    def bwd(res, g):
        x, kernel, out = res
        dh = jnp.where(out > 0, g, 0)
        turned = kernel.swapaxes(2, 3)
        if slip != "unflipped":
            turned = turned[::-1, ::-1]
        dx = conv(dh, turned)
        images = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).transpose(3, 1, 2, 0)
        dkernel = conv(images, dh.transpose(1, 2, 0, 3), "VALID").transpose(1, 2, 0, 3)
        seen = g if slip == "mask of the image's side" else dh
        dbias = seen.sum((0, 1, 2))
        if slip == "mean over pixels":
            dbias = seen.mean((1, 2)).sum(0)
        return dx, dkernel, dbias

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


@case(
    "max pooling that keeps where the largest is, as in cuDNN and torch",
    "pooling",
    lambda rng: (normal(rng, 2, 4, 6, 3), 2),
    Twin(
        "spread over the window",
        "mask|index|ratio|factor",
        "x",
        "Each pixel of the window gets an equal part, as in average pooling.",
    ),
    Twin(
        "place in the window",
        "index|transpose|swap",
        "x",
        "The place within the window is read column by column.",
    ),
)
def max_pool_2d(slip):
    def windows(x, k):
        b, h, w, c = x.shape
        cut = x.reshape(b, h // k, k, w // k, k, c)
        return cut.transpose(0, 1, 3, 5, 2, 4).reshape(b, h // k, w // k, c, k * k)

    def plain(x, k):
        return windows(x, k).max(-1)

    pool = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, k):
        cut = windows(x, k)
        top = cut.max(-1)
        best = (cut == top[..., None]).astype(x.dtype)
        return top, best / best.sum(-1, keepdims=True)

    def bwd(k, best, g):
        b, h, w, c, _ = best.shape
        share = best
        if slip == "spread over the window":
            share = jnp.ones_like(best) / best.shape[-1]
        dcut = (g[..., None] * share).reshape(b, h, w, c, k, k)
        if slip == "place in the window":
            dcut = dcut.swapaxes(-1, -2)
        dx = dcut.transpose(0, 1, 4, 2, 5, 3)
        return (dx.reshape(b, h * k, w * k, c),)

    pool.defvjp(fwd, bwd)
    return pool, plain


def some_allowed(rng):
    mask = jnp.asarray(rng.uniform(size=(3, 6)) < 0.6).at[:, 2].set(True)
    return normal(rng, 3, 6), mask, 1.5


@case(
    "softmax over the allowed actions or tokens in haiku and flax users' code",
    "softmax with a mask",
    some_allowed,
    Twin(
        "temperature",
        "option|factor|ratio",
        "logits",
        "The logits' division by the temperature isn't in the gradient.",
    ),
    Twin(
        "mean of the row",
        "factor|ratio|term|function",
        "logits",
        "The cotangent's mean over the row stands for its mean under p.",
    ),
)
def masked_softmax(slip):
    def plain(logits, mask, temperature):
        return jax.nn.softmax(jnp.where(mask, logits / temperature, -1e9))

    softmax = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, mask, temperature):
        p = plain(logits, mask, temperature)
        return p, (p, mask)

    def bwd(temperature, res, g):
        p, mask = res
        mean = (p * g).sum(-1, keepdims=True)
        if slip == "mean of the row":
            mean = g.mean(-1, keepdims=True)
        d = jnp.where(mask, p * (g - mean), 0)
        return d if slip == "temperature" else d / temperature, None

    softmax.defvjp(fwd, bwd)
    return softmax, plain
