"""Layers: norms, adapters, nested rules, keyword arguments, kernels, reversal."""

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
    "LoRA in flax and EasyDeL",
    "layer with a pytree",
    lambda rng: (
        normal(rng, 4, 5),
        {"a": normal(rng, 5, 2), "b": jnp.zeros((2, 3))},
        normal(rng, 5, 3),
        2.0,
    ),
    Twin(
        "scale of a",
        "ratio|factor|option",
        "lora",
        "a's gradient lacks the scale.",
        witness=lambda rng: (
            normal(rng, 4, 5),
            {"a": normal(rng, 5, 2), "b": normal(rng, 2, 3)},
            normal(rng, 5, 3),
            2.0,
        ),
    ),
    Twin(
        "adapter's path to x",
        "path|term",
        "x",
        "dx goes through the base only.",
        witness=lambda rng: (
            normal(rng, 4, 5),
            {"a": normal(rng, 5, 2), "b": normal(rng, 2, 3)},
            normal(rng, 5, 3),
            2.0,
        ),
    ),
    options=lambda plain: {"nondiff": ("base",)},
)
def lora_dense(slip):
    def plain(x, lora, base, scale):
        return x @ lax.stop_gradient(base) + scale * (x @ lora["a"]) @ lora["b"]

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, lora, base, scale):
        return plain(x, lora, base, scale), (x, lora, base)

    def bwd(scale, res, g):
        x, lora, base = res
        back = g @ lora["b"].T
        da = x.T @ back * (1.0 if slip == "scale of a" else scale)
        dx = g @ base.T
        if slip != "adapter's path to x":
            dx = dx + scale * back @ lora["a"].T
        return dx, {"a": da, "b": scale * (x @ lora["a"]).T @ g}, None

    dense.defvjp(fwd, bwd)
    return dense, plain


@case(
    "batch normalisation of flax, with new running statistics as outputs",
    "normalisation with several outputs",
    lambda rng: (normal(rng, 6, 3), jnp.ones(3), jnp.zeros(3), jnp.zeros(3), 0.9),
    Twin(
        "statistics' cotangent dropped",
        "path|term|cotangent|zero",
        "x",
        "The running mean sends nothing back.",
    ),
    Twin("variance constant", "path|term", "x", "No path through the variance."),
    fixed=(1,),
)
def running_batchnorm(slip):
    def plain(x, gain, bias, running, momentum):
        mean = x.mean(0)
        rstd = lax.rsqrt(((x - mean) ** 2).mean(0) + 1e-5)
        new = momentum * running + (1 - momentum) * mean
        return (x - mean) * rstd * gain + bias, new

    norm = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, gain, bias, running, momentum):
        y, new = plain(x, gain, bias, running, momentum)
        mean = x.mean(0)
        rstd = lax.rsqrt(((x - mean) ** 2).mean(0) + 1e-5)
        return (y, new), ((x - mean) * rstd, rstd, gain)

    def bwd(momentum, res, g):
        z, rstd, gain = res
        dy, dnew = g
        dz = dy * gain
        dx = dz - dz.mean(0)
        if slip != "variance constant":
            dx = dx - z * (dz * z).mean(0)
        dx = rstd * dx
        if slip != "statistics' cotangent dropped":
            dx = dx + (1 - momentum) / len(z) * dnew
        return dx, (dy * z).sum(0), dy.sum(0), momentum * dnew

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "group norm with SiLU in diffusion models",
    "normalisation",
    lambda rng: (normal(rng, 2, 5, 4), jnp.ones(4), 2),
    Twin(
        "silu's second term",
        "term|path|factor|function",
        "x gain",
        "s for s + y s(1-s).",
    ),
    Twin(
        "statistics of all channels",
        "sum|axis|option|function",
        "x",
        "Means over all channels, not over those of the group.",
    ),
    Twin(
        "groups fixed",
        "option|sum|function",
        "x",
        "Two groups are assumed.",
        witness=lambda rng: (normal(rng, 2, 5, 4), jnp.ones(4), 4),
    ),
    fixed=(1,),
)
def groupnorm_silu(slip):
    def grouped(x, groups):
        return x.reshape(len(x), -1, groups, x.shape[-1] // groups)

    def standard(x, groups):
        s = grouped(x, groups)
        s = s - s.mean((1, 3), keepdims=True)
        rstd = lax.rsqrt((s * s).mean((1, 3), keepdims=True) + 1e-5)
        return (s * rstd).reshape(x.shape), rstd

    def plain(x, gain, groups):
        return jax.nn.silu(standard(x, groups)[0] * gain)

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, gain, groups):
        z, rstd = standard(x, groups)
        return jax.nn.silu(z * gain), (z, rstd, gain)

    def bwd(groups, res, g):
        z, rstd, gain = res
        y = z * gain
        s = jax.nn.sigmoid(y)
        dy = g * (s if slip == "silu's second term" else s + y * s * (1 - s))
        used = 2 if slip == "groups fixed" else groups
        dz, zg = grouped(dy * gain, used), grouped(z, used)
        if slip == "statistics of all channels":
            mean = dz.mean((1, 2, 3), keepdims=True)
            mean = mean + zg * (dz * zg).mean((1, 2, 3), keepdims=True)
        else:
            mean = dz.mean((1, 3), keepdims=True)
            mean = mean + zg * (dz * zg).mean((1, 3), keepdims=True)
        dx = grouped((dz - mean).reshape(z.shape), groups) * rstd
        return dx.reshape(z.shape), (dy * z).sum((0, 1))

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "a rule within a rule: a gated layer calls an activation with its own",
    "nested rules",
    draw(x=(3, 4), w=(4, 5), v=(4, 5)),
    Twin(
        "gate's slope",
        "factor|operand|path|function",
        "x w",
        "The inner slope is lost.",
    ),
    Twin("branches exchanged", "swap|operand", "w v", "dw and dv are exchanged."),
)
def nested_gated_mlp(slip):
    @jax.custom_vjp
    def squared_relu(x):
        return jnp.square(jax.nn.relu(x))

    squared_relu.defvjp(
        lambda x: (jnp.square(jax.nn.relu(x)), jax.nn.relu(x)),
        lambda r, g: (2 * r * g,),
    )

    def plain(x, w, v):
        return jnp.square(jax.nn.relu(x @ w)) * (x @ v)

    @jax.custom_vjp
    def gated(x, w, v):
        return squared_relu(x @ w) * (x @ v)

    def fwd(x, w, v):
        gate, pull = jax.vjp(squared_relu, x @ w)
        return gate * (x @ v), (x, w, v, gate, pull)

    def bwd(res, g):
        x, w, v, gate, pull = res
        dgate = g * (x @ v)
        (dz,) = (dgate,) if slip == "gate's slope" else pull(dgate)
        dv = x.T @ (g * gate)
        dw = x.T @ dz
        if slip == "branches exchanged":
            dw, dv = dv, dw
        return dz @ w.T + (g * gate) @ v.T, dw, dv

    gated.defvjp(fwd, bwd)
    return gated, plain


@case(
    "layer norm with keyword options, as in haiku",
    "normalisation",
    lambda rng: (normal(rng, 3, 4, 5), jnp.ones(5), jnp.zeros(5), -1, 1e-5),
    Twin(
        "last axis always",
        "axis|option|sum|function",
        "x",
        "The statistics are over the last axis whatever is asked for.",
        witness=lambda rng: (normal(rng, 3, 4, 5), jnp.ones(5), jnp.zeros(5), 1, 1e-5),
    ),
    Twin(
        "gain not summed over all",
        "sum|axis|ratio|index",
        "gain",
        "dgain is summed over the first axis and averaged over the second.",
    ),
    fixed=(1,),
)
def layernorm_kwargs(slip):
    def standard(x, axis, eps):
        centred = x - x.mean(axis, keepdims=True)
        rstd = lax.rsqrt((centred**2).mean(axis, keepdims=True) + eps)
        return centred * rstd, rstd

    def plain(x, gain, bias, axis=-1, eps=1e-5):
        return standard(x, axis, eps)[0] * gain + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(x, gain, bias, axis=-1, eps=1e-5):
        z, rstd = standard(x, axis, eps)
        return z * gain + bias, (z, rstd, gain)

    def bwd(axis, eps, res, dy):
        z, rstd, gain = res
        dz = dy * gain
        axis = -1 if slip == "last axis always" else axis
        mean = dz.mean(axis, keepdims=True) + z * (dz * z).mean(axis, keepdims=True)
        dgain = (dy * z).sum((0, 1))
        if slip == "gain not summed over all":
            dgain = (dy * z).sum(0).mean(0)
        return rstd * (dz - mean), dgain, dy.sum((0, 1))

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "Gaussian process kernels of tinygp and GPJax",
    "kernel matrix",
    lambda rng: (
        normal(rng, 4, 2),
        normal(rng, 3, 2),
        jnp.float32(1.0),
        jnp.float32(1.0),
    ),
    Twin(
        "lengthscale cubed",
        "factor|operand|function",
        "lengthscale",
        "r^2 / l^2 for r^2 / l^3.",
        witness=lambda rng: (
            normal(rng, 4, 2),
            normal(rng, 3, 2),
            jnp.float32(0.7),
            jnp.float32(1.0),
        ),
    ),
    Twin("sign of the second points", "sign", "y", "dy has the sign of dx."),
    fixed=(2, 3),
)
def rbf_kernel(slip):
    def parts(x, y, lengthscale):
        d = x[:, None] - y
        r2 = (d * d).sum(-1)
        return d, r2, jnp.exp(-0.5 * r2 / lengthscale**2)

    @jax.custom_vjp
    def rbf(x, y, lengthscale, variance):
        return variance * parts(x, y, lengthscale)[2]

    def fwd(x, y, lengthscale, variance):
        return rbf.fun(x, y, lengthscale, variance), (x, y, lengthscale, variance)

    def bwd(res, g):
        x, y, l, variance = res
        d, r2, k = parts(x, y, l)
        gk = g * variance * k
        pull = gk[..., None] * d / l**2
        dl = (gk * r2).sum() / l**3
        if slip == "lengthscale cubed":
            dl = dl * l
        dy = pull.sum(0)
        if slip == "sign of the second points":
            dy = -dy
        return -pull.sum(1), dy, dl, (g * k).sum()

    rbf.defvjp(fwd, bwd)
    return rbf, rbf.fun


def reversed_gradient(args, dy):
    """Ganin and Lempitsky: minus the strength times dy."""
    return (-args[1] * dy,)


@case(
    "gradient reversal in domain adaptation",
    "gradient reversal",
    lambda rng: (normal(rng, 3, 4), 0.5),
    Twin("not reversed", "sign", "x", "The minus is missing."),
    Twin(
        "strength forgotten", "ratio|factor|option", "x", "-dy, whatever the strength."
    ),
    options=lambda plain: {"surrogate": reversed_gradient},
)
def gradient_reversal(slip):
    def plain(x, strength):
        return x

    reverse = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, strength):
        return x, None

    def bwd(strength, _, g):
        if slip == "strength forgotten":
            strength = 1.0
        return (strength * g if slip == "not reversed" else -strength * g,)

    reverse.defvjp(fwd, bwd)
    return reverse, plain
