"""Root mean square normalisation: each row to mean square 1 over its D features.

    rstd = (sum_d x^2 / D + eps)^(-1/2)      xhat = x rstd
    y = (offset + gamma) xhat

Layernorm without the mean. Perturb x: the mean square moves by 2 mean(x dx), rstd by
-1/2 rstd^3 times that, and xhat by

    J dx = rstd (dx - xhat mean(xhat dx))

which is a symmetric matrix, its own transpose. With the cotangent dy:

    dx = J ((offset + gamma) dy)             dgamma = sum_rows dy xhat

Check: with eps = 0 a common factor of a row leaves y alone, so sum_d x dx = 0; D = 1
gives xhat = +-1 and dx = 0. A row of zeros has y = 0 and dx = (offset + gamma) dy
eps^(-1/2): large, but the true slope.
"""

from functools import partial
from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, in_one_program, on_auto_axes, sharding, wide
from jaxninja.rules import blocking
from jaxninja.rules.normalisation.arguments import check_input, check_number, like
from jaxninja.rules.normalisation.rows import over_rows


class Residuals(NamedTuple):
    x: jax.Array  # [*batch, D], an argument that others hold too
    gamma: jax.Array  # [D]; rstd, a number a row, is made again with xhat


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def rmsnorm(
    x: Float[Array, "*batch D"],
    gamma: Float[Array, "D"],
    eps: float = 1e-6,
    offset: float = 0.0,
) -> Float[Array, "*batch D"]:
    """Normalise each row: y = (offset + gamma) x / sqrt(mean(x^2) + eps).

    Args:
        x: [*batch, D]; the mean square is over the last axis.
        gamma: [D] gain, less offset.
        eps: added to the mean square, 0 or more.
        offset: added to gamma: 1 where gamma is kept as its distance from 1 (Gemma).

    Returns:
        [*batch, D] in the type of x; computed in float32 or better. Smooth for eps > 0.

    Raises:
        ValueError: shapes or types do not fit, or eps is below 0.

    Source: Zhang, Sennrich 2019, arXiv:1910.07467.
    """
    return rmsnorm_fwd(x, gamma, eps, offset)[0]


def rmsnorm_fwd(x, gamma, eps, offset):
    check_input("rmsnorm", x, {"gamma": gamma})
    check_number("rmsnorm", "eps", eps, 0)
    check_number("rmsnorm", "offset", offset, float("-inf"), open_end=True)
    y = (offset + like(x, gamma)) * (wide(x) * _rstd(x, eps))
    return y.astype(x.dtype), Residuals(x, gamma)


def rmsnorm_bwd(eps, offset, res, dy):
    """Returns dx [*batch, D], dgamma [D]."""
    D = dy.shape[-1]
    size = blocking.rows(dy.size // D, D, dy.dtype.itemsize)
    where = sharding(res.x), sharding(res.gamma)
    return on_auto_axes(_in_rows, where, res, dy, eps=eps, offset=offset, size=size)


@in_one_program("eps", "offset", "size")
def _in_rows(res, dy, eps, offset, size):
    gamma = res.gamma

    def pull(x, dy):
        rstd, dy = _rstd(x, eps), wide(dy)
        xhat = wide(x) * rstd
        dx = jacobian_product(xhat, rstd, (offset + like(x, gamma)) * dy)
        return dx.astype(x.dtype), (dy * xhat).sum(0)

    matrices = tuple(a.reshape(-1, a.shape[-1]) for a in (res.x, dy))
    dx, dgamma = over_rows(pull, matrices, size)
    return dx.reshape(dy.shape), dgamma.astype(gamma.dtype)


rmsnorm.defvjp(rmsnorm_fwd, rmsnorm_bwd)


def rmsnorm_jvp(eps, offset, primals, tangents):
    """Returns y and its move dy [*batch, D] for moves of x and gamma."""
    dx, dgamma = tangents
    x, gamma = primals
    y, _ = rmsnorm_fwd(x, gamma, eps, offset)
    rstd = _rstd(x, eps)
    xhat = wide(x) * rstd
    dxhat = jacobian_product(xhat, rstd, wide(dx))
    dy = (offset + like(x, gamma)) * dxhat + like(x, dgamma) * xhat
    return y, dy.astype(y.dtype)


def jacobian_product(xhat, rstd, dx):
    """J dx, and as J is symmetric J^T dxhat too."""
    return rstd * (dx - xhat * (xhat * dx).mean(-1, keepdims=True))


def _rstd(x, eps):
    return lax.rsqrt((wide(x) ** 2).mean(-1, keepdims=True) + eps)


def example(key, N, D):
    key_x, key_gamma = jax.random.split(key)
    x = 0.5 + 2 * jax.random.normal(key_x, (N, D))
    return x, 1.5 + 0.3 * jax.random.normal(key_gamma, (D,))


rule = Rule(
    op=rmsnorm,
    fwd=rmsnorm_fwd,
    bwd=rmsnorm_bwd,
    jvp=rmsnorm_jvp,
    example=example,
    cases=(
        Case({"N": 7, "D": 5}, (1e-6, 0.0)),
        Case({"N": 4, "D": 4}, (1e-2, 1.0)),
        Case({"N": 1, "D": 3}, (1e-5, 0.0)),
        Case({"N": 3, "D": 1}, (1e-1, 0.5)),
    ),
    bench=Case({"N": 4096, "D": 768}, (1e-6, 0.0)),
    source="Zhang, Sennrich 2019, arXiv:1910.07467",
)
