"""A block of the transformer in named steps: exercise 8's forward pass.

    x -> layernorm -> attention -> + x = x2 -> layernorm -> mlp -> + x2 = y

Each step is one operation, but for those whose gradients exercises 5 and 7 have step by
step: layernorm's statistics and softmax. The parameters are those of one layer of
`transformer`, by its names.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.models.parts import Params
from jaxninja.models.transformer import LAYER

# fmt: off
STEPS = (
    "mean_a", "rstd_a", "ahat", "a", "qkv", "q", "k", "v", "z", "masked", "p", "o",
    "c", "x2", "mean_m", "rstd_m", "mhat", "m", "f", "s", "h", "y",
)
# fmt: on
EPS = 1e-5
SLOPE = 1.5957691216057308  # 2 sqrt(2 / pi), of gelu's tanh form


def sizes(x: Float[Array, "n T E"], heads: int) -> dict[str, int]:
    """The numbers that `backward` may ask for: K is the width of a head."""
    n, T, E = x.shape
    return {"n": n, "T": T, "E": E, "H": heads, "K": E // heads}


def forward(
    x: Float[Array, "n T E"], params: Params, heads: int
) -> dict[str, Float[Array, "..."]]:
    """Every intermediate by name, in the order of computation; `y` is the last.

    Args:
        x: [n, T, E], what the block reads.
        params: of this layer, by the names in LAYER.
        heads: a divisor of E.
    """
    gamma_a, beta_a, Wqkv, bqkv, Wo, bo = (params[name] for name in LAYER[:6])
    gamma_m, beta_m, Wf, bf, Wp, bp = (params[name] for name in LAYER[6:])
    n, T, E, H, K = sizes(x, heads).values()
    seen = jnp.tril(jnp.ones((T, T), bool))
    mean_a = x.mean(2, keepdims=True)
    rstd_a = (((x - mean_a) ** 2).mean(2, keepdims=True) + EPS) ** -0.5
    ahat = (x - mean_a) * rstd_a
    a = gamma_a * ahat + beta_a
    qkv = a @ Wqkv + bqkv
    q = qkv[:, :, :E].reshape(n, T, H, K).swapaxes(1, 2)
    k = qkv[:, :, E : 2 * E].reshape(n, T, H, K).swapaxes(1, 2)
    v = qkv[:, :, 2 * E :].reshape(n, T, H, K).swapaxes(1, 2)
    z = q @ k.mT / K**0.5
    masked = jnp.where(seen, z, -jnp.inf)
    p = jax.nn.softmax(masked, 3)
    o = p @ v
    c = o.swapaxes(1, 2).reshape(n, T, E)
    x2 = x + c @ Wo + bo
    mean_m = x2.mean(2, keepdims=True)
    rstd_m = (((x2 - mean_m) ** 2).mean(2, keepdims=True) + EPS) ** -0.5
    mhat = (x2 - mean_m) * rstd_m
    m = gamma_m * mhat + beta_m
    f = m @ Wf + bf
    s = jax.nn.sigmoid(SLOPE * (f + 0.044715 * f**3))
    h = f * s
    y = x2 + h @ Wp + bp
    # fmt: off
    steps = (
        mean_a, rstd_a, ahat, a, qkv, q, k, v, z, masked, p, o, c, x2, mean_m, rstd_m,
        mhat, m, f, s, h, y,
    )
    # fmt: on
    return dict(zip(STEPS, steps, strict=True))
