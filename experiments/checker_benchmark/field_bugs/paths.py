"""Class B: a path, a factor or a sign of the algebra."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import softmax as right
from experiments.checker_benchmark.bank.record import array, generator, normal
from experiments.checker_benchmark.field_bugs.record import bug, saving


def batchnorm(x, gamma, beta):
    mean = x.mean(0)
    rstd = lax.rsqrt(((x - mean) ** 2).mean(0) + 1e-5)
    return gamma * (x - mean) * rstd + beta


def batchnorm_bwd(res, dy):
    x, gamma, _ = res
    mean = x.mean(0)
    rstd = lax.rsqrt(((x - mean) ** 2).mean(0) + 1e-5)
    xhat = (x - mean) * rstd
    return gamma * rstd * dy, (dy * xhat).sum(0), dy.sum(0)  # mean, rstd as constants


def rmsnorm(x, gain):
    return gain * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def rmsnorm_unweighted_bwd(res, dy):
    x, _ = res
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    xhat = x * rstd
    dx = rstd * (dy - xhat * (dy * xhat).mean(-1, keepdims=True))  # no gain
    return dx, (dy * xhat).sum(0)


def rmsnorm_twice_bwd(res, dy):
    x, gain = res
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    xhat = x * rstd
    g = gain * dy
    dx = rstd * (g - gain * xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0)


def offset_rmsnorm(x, gain):
    """The gain is stored as its distance from one."""
    return (1 + gain) * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def offset_rmsnorm_bwd(res, dy):
    x, gain = res
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    xhat = x * rstd
    g = gain * dy  # not 1 + gain
    dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0)


def soft_cross_entropy(logits, target):
    return -(target * right.log_softmax(logits)).sum(-1)


def soft_cross_entropy_bwd(res, dy):
    logits, target = res
    p, g = right.softmax(logits), dy[:, None]
    return g * (p - target), -g * right.log_softmax(logits)  # sum(target) = 1 assumed


def copysign(x, y):
    return jnp.abs(x) * jnp.sign(y)


def copysign_bwd(res, dy):
    _, y = res
    return dy * jnp.sign(y), jnp.zeros_like(y)  # without sign(x)


def sine_times(x, y):
    return jnp.sin(x) * y


def sine_times_bwd(res, dy):
    x, y = res
    return dy * jnp.cos(x) * y, -dy * jnp.sin(x)


def hypot(x, y):
    return jnp.sqrt(x * x + y * y)


def hypot_bwd(res, dy):
    x, y = res
    r = hypot(x, y)
    return dy * y / r, dy * x / r


def atan2(y, x):
    return jnp.arctan2(y, x)


def atan2_flipped_bwd(res, dy):
    y, x = res
    r2 = x * x + y * y
    return -dy * y / r2, dy * x / r2


def atan2_sign_bwd(res, dy):
    y, x = res
    r2 = x * x + y * y
    return dy * x / r2, dy * y / r2


def normal_logpdf(x, cov):
    """log N(x; 0, cov) of one vector."""
    logdet = jnp.linalg.slogdet(cov)[1]
    square = x @ jnp.linalg.solve(cov, x)
    return -0.5 * (square + logdet + x.size * jnp.log(2 * jnp.pi))


def normal_logpdf_bwd(res, dy):
    x, cov = res
    inv = jnp.linalg.inv(cov)
    z = inv @ x
    return -dy * z, 0.5 * dy * (inv - jnp.outer(z, z))  # the sign


def vector_and_covariance(key, D):
    rng, dims = generator(key), {"D": D}
    m = array(rng, "D D", dims, 0.1, 0.8)
    return array(rng, "D", dims), m @ m.T + D * jnp.eye(D, dtype=jnp.float32)


def square(x):
    return x**2


def square_bwd(res, dy):
    (x,) = res
    return (dy * x,)


ROWS = "N=3 D=5 | N=4 D=4"


def rows(thread, kind, said, plain, bwd, *shapes, truth):
    example = normal(*(shapes or ("N D",)), mean=0.4, std=1.1)
    return bug(
        thread, kind, said, plain, saving(plain), bwd, example, ROWS, truth=truth
    )


BUGS = (
    rows(
        "facebookresearch/CrypTen#143",
        "B1",
        "The input's gradient took the batch's mean and variance for constants.",
        batchnorm,
        batchnorm_bwd,
        *("N D", "D", "D"),
        truth="term",
    ),
    rows(
        "karpathy/llm.c#763",
        "B2",
        "An RMSNorm backward left out the weight; it took days to find.",
        rmsnorm,
        rmsnorm_unweighted_bwd,
        *("N D", "D"),
        truth="factor",
    ),
    rows(
        "NVIDIA/Megatron-LM#6859",
        "B2",
        "The variance term of RMSNorm's gradient had the weight twice.",
        rmsnorm,
        rmsnorm_twice_bwd,
        *("N D", "D"),
        truth="factor",
    ),
    rows(
        "linkedin/Liger-Kernel#74",
        "B10",
        "Gemma's norm multiplies by one plus the weight, the kernel by the weight.",
        offset_rmsnorm,
        offset_rmsnorm_bwd,
        *("N D", "D"),
        truth="term",
    ),
    rows(
        "NVIDIA-NeMo/Automodel#2428",
        "B2",
        "The backward took it for granted that the soft target sums to one.",
        soft_cross_entropy,
        soft_cross_entropy_bwd,
        *("N D", "N D"),
        truth="factor",
    ),
    rows(
        "chalk-lab/Mooncake.jl#1195",
        "B3",
        "copysign's derivative lost the sign of its first argument.",
        copysign,
        copysign_bwd,
        *("N D", "N D"),
        truth="factor",
    ),
    rows(
        "jax-ml/jax#3213",
        "B3",
        "The documentation's example of a custom rule had a wrong sign.",
        sine_times,
        sine_times_bwd,
        *("N D", "N D"),
        truth="sign",
    ),
    rows(
        "JuliaDiff/ChainRules.jl#74",
        "B7",
        "hypot's two derivatives were exchanged, in the rule and in its test.",
        hypot,
        hypot_bwd,
        *("N D", "N D"),
        truth="swap",
    ),
    rows(
        "getkeops/keops#155",
        "B7",
        "The two terms of the derivative of atan2 were exchanged.",
        atan2,
        atan2_flipped_bwd,
        *("N D", "N D"),
        truth="swap",
    ),
    rows(
        "EnzymeAD/Enzyme-JAX#2066",
        "B3",
        "The minus sign of atan2's derivative was in the wrong place.",
        atan2,
        atan2_sign_bwd,
        *("N D", "N D"),
        truth="sign",
    ),
    bug(
        "HIPS/autograd#412",
        "B3",
        "The gradient by a normal density's covariance had the wrong sign.",
        normal_logpdf,
        saving(normal_logpdf),
        normal_logpdf_bwd,
        vector_and_covariance,
        "D=4 | D=3",
        truth="sign",
    ),
    rows(
        "jax-ml/jax#29485",
        "B4",
        "A documented gradient of x squared was x, not twice x.",
        square,
        square_bwd,
        truth="ratio",
    ),
)
