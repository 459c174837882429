"""Several outputs, and parameters in a pytree: a cotangent for each output."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    normal,
    record,
    sizes,
)


def sincos(x):
    return jnp.sin(x), jnp.cos(x)


def sincos_fwd(x):
    y = sincos(x)
    return y, y


def sincos_bwd(res, dy):
    sin, cos = res
    dsin, dcos = dy
    return (dsin * cos - dcos * sin,)


def moments(x, ddof):
    """Mean and variance of each column."""
    mean = x.mean(0)
    return mean, ((x - mean) ** 2).sum(0) / (x.shape[0] - ddof)


def moments_fwd(x, ddof):
    return moments(x, ddof), x - x.mean(0)


def moments_bwd(ddof, centred, dy):
    dmean, dvar = dy
    n = centred.shape[0]
    return (dmean / n + 2 * centred * dvar / (n - ddof),)


def complex_product(a, b, c, d):
    """(a + ib)(c + id), real and imaginary part."""
    return a * c - b * d, a * d + b * c


def complex_product_fwd(a, b, c, d):
    return complex_product(a, b, c, d), (a, b, c, d)


def complex_product_bwd(res, dy):
    a, b, c, d = res
    dre, dim = dy
    da, db = dre * c + dim * d, dim * c - dre * d
    return da, db, dre * a + dim * b, dim * a - dre * b


def polar(radius, angle):
    return radius * jnp.cos(angle), radius * jnp.sin(angle)


def polar_fwd(radius, angle):
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return (radius * cos, radius * sin), (radius, cos, sin)


def polar_bwd(res, dy):
    radius, cos, sin = res
    dx, dy_ = dy
    return dx * cos + dy_ * sin, radius * (dy_ * cos - dx * sin)


def lstm_gates(z, c):
    """A step after the matmuls: z [N, 4, D] of gates i, f, g, o; c [N, D]: h, new c."""
    return lstm_gates_fwd(z, c)[0]


def lstm_gates_fwd(z, c):
    i, f, o = (lax.logistic(z[:, k]) for k in (0, 1, 3))
    g = jnp.tanh(z[:, 2])
    new = f * c + i * g
    t = jnp.tanh(new)
    return (o * t, new), (i, f, g, o, c, t)


def lstm_gates_bwd(res, dy):
    i, f, g, o, c, t = res
    dh, dnew = dy
    dnew = dnew + dh * o * (1 - t) * (1 + t)
    di = dnew * g * i * (1 - i)
    df = dnew * c * f * (1 - f)
    dg = dnew * i * (1 - g) * (1 + g)
    do = dh * t * o * (1 - o)
    return jnp.stack([di, df, dg, do], 1), dnew * f


def gru_blend(z, h, n):
    """Convex mix of the old and the new state: s n + (1 - s) h with s = sigmoid(z)."""
    s = lax.logistic(z)
    return s * n + (1 - s) * h


def gru_blend_fwd(z, h, n):
    s = lax.logistic(z)
    return s * n + (1 - s) * h, (s, h, n)


def gru_blend_bwd(res, dy):
    s, h, n = res
    return dy * (n - h) * s * (1 - s), dy * (1 - s), dy * s


def two_layer(params, x):
    """params: dict of w1 [D, H], b1 [H], w2 [H, O]; tanh(x w1 + b1) w2."""
    return jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]


def two_layer_fwd(params, x):
    h = jnp.tanh(x @ params["w1"] + params["b1"])
    return h @ params["w2"], (params, x, h)


def two_layer_bwd(res, dy):
    params, x, h = res
    dz = (dy @ params["w2"].T) * (1 - h) * (1 + h)
    grads = {"w1": x.T @ dz, "b1": dz.sum(0), "w2": h.T @ dy}
    return grads, dz @ params["w1"].T


def residual_block(params, x):
    """params: dict of gain [D] and w [D, D]; x + gain * (relu(x) w)."""
    return x + params["gain"] * (jnp.where(x > 0, x, 0) @ params["w"])


def residual_block_fwd(params, x):
    inner = jnp.where(x > 0, x, 0) @ params["w"]
    return x + params["gain"] * inner, (params, x, inner)


def residual_block_bwd(res, dy):
    params, x, inner = res
    g = dy * params["gain"]
    dw = jnp.where(x > 0, x, 0).T @ g
    dx = dy + jnp.where(x > 0, g @ params["w"].T, 0)
    return {"gain": (dy * inner).sum(0), "w": dw}, dx


def layer_parameters(key, N, D, H, O):
    dims = {"N": N, "D": D, "H": H, "O": O}
    rng = generator(key)
    shapes = {"w1": "D H", "b1": "H", "w2": "H O"}
    params = {name: array(rng, shape, dims, 0.1, 0.7) for name, shape in shapes.items()}
    return params, array(rng, "N D", dims)


def block_parameters(key, N, D):
    rng, dims = generator(key), {"N": N, "D": D}
    params = {"gain": array(rng, "D", dims), "w": array(rng, "D D", dims)}
    return params, array(rng, "N D", dims)


PAIRS = (sizes("N=3 D=5"), sizes("N=4 D=4"))

RULES = (
    record(sincos, sincos_fwd, sincos_bwd, normal("N D"), *PAIRS, source="calculus"),
    record(
        moments,
        moments_fwd,
        moments_bwd,
        normal("N D"),
        sizes("N=7 D=3", 1),
        sizes("N=4 D=4", 0),
        static=1,
        source="sample mean and variance",
    ),
    record(
        complex_product,
        complex_product_fwd,
        complex_product_bwd,
        normal("N D", "N D", "N D", "N D"),
        *PAIRS,
        source="complex numbers as pairs",
    ),
    record(
        polar, polar_fwd, polar_bwd, normal("N D", "N D"), *PAIRS, source="calculus"
    ),
    record(
        lstm_gates,
        lstm_gates_fwd,
        lstm_gates_bwd,
        lambda key, N, D: normal("N K D", "N D")(key, N=N, D=D, K=4),
        *PAIRS,
        source="Hochreiter, Schmidhuber 1997",
    ),
    record(
        gru_blend,
        gru_blend_fwd,
        gru_blend_bwd,
        normal("N D", "N D", "N D"),
        *PAIRS,
        source="Cho et al. 2014, arXiv:1406.1078",
    ),
    record(
        two_layer,
        two_layer_fwd,
        two_layer_bwd,
        layer_parameters,
        sizes("N=5 D=3 H=4 O=2"),
        sizes("N=3 D=3 H=3 O=3"),
        source="Rumelhart et al. 1986",
    ),
    record(
        residual_block,
        residual_block_fwd,
        residual_block_bwd,
        block_parameters,
        *PAIRS,
        source="He et al. 2015, arXiv:1512.03385",
    ),
)
