"""CLIP's loss: each row of a is to find its own row of b among all, and the reverse.

    S = a @ b.T / tau            loss = (CE(S, 1..N) + CE(S.T, 1..N)) / 2

Each direction is a cross entropy whose label is the row's own number. By the derivation
of cross_entropy, one gives S the cotangent (P - I) / N, the other (Q - I) / N, with P
the softmax of S along its rows and Q along its columns. So with the cotangent dloss

    dS = (P + Q - 2 I) dloss / (2 N)

S moves by (da @ b.T + a @ db.T) / tau - S dtau / tau. Transposed:

    da = dS @ b / tau            db = dS.T @ a / tau
    dtau = -sum dS S / tau = -sum a da / tau     (as sum dS (a @ b.T) = tau sum a da)

Check: N = 1 has nothing to tell apart: P = Q = I, loss 0, no gradient. Equal S give
log N. sum dS = 0, as a shift of all S changes nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, expect_floats, on_auto_axes, sharding
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    a: jax.Array  # [N, D], an argument: held anyway
    b: jax.Array  # [N, D], an argument too
    temperature: jax.Array  # []
    pull: jax.Array  # [N, N] (P + Q - 2 I) / (2 N); S and both softmaxes are not kept


@jax.custom_vjp
def contrastive(
    a: Float[Array, "N D"], b: Float[Array, "N D"], temperature: Float[Array, ""]
) -> Float[Array, ""]:
    """Symmetric contrastive loss of N pairs, row n of a with row n of b.

    Args:
        a: [N, D] embeddings as they are; CLIP gives them unit length: l2_normalise.
        b: [N, D] their partners.
        temperature: scalar above 0; it receives a gradient, since CLIP learns it.

    Returns:
        Scalar, in nats: log N where nothing is told apart.

    Raises:
        ValueError: shapes do not fit, there is no pair, an array is not of floats, or a
            and b are of two types.

    Source: Radford et al. 2021, arXiv:2103.00020; Zhang et al. 2020, arXiv:2010.00747.
    """
    return contrastive_fwd(a, b, temperature)[0]


def contrastive_fwd(a, b, temperature):
    temperature = jnp.asarray(temperature)
    _check_arguments(a, b, temperature)
    where = sharding(a, 0), sharding(a, 1)
    loss, pull = on_auto_axes(_loss_and_pull, where, a, b, temperature)
    return loss, Residuals(a, b, temperature, pull)


def _loss_and_pull(a, b, temperature):
    N = len(a)
    S = a @ b.T / temperature.astype(a.dtype)
    log_P, log_Q = jax.nn.log_softmax(S, 1), jax.nn.log_softmax(S, 0)
    loss = -(jnp.trace(log_P) + jnp.trace(log_Q)) / (2 * N)
    pull = (jnp.exp(log_P) + jnp.exp(log_Q) - 2 * jnp.eye(N, dtype=S.dtype)) / (2 * N)
    return loss, pull


def contrastive_bwd(res, dloss):
    """Returns da [N, D], db [N, D] and dtemperature, a scalar."""
    a, b, temperature, pull = res
    tau = temperature.astype(a.dtype)
    dS = pull * (dloss / tau)  # over tau already: it is that of a @ b.T
    da = jnp.matmul(dS, b, out_sharding=sharding(a))
    db = jnp.matmul(dS.T, a, out_sharding=sharding(b))
    return da, db, (-(a * da).sum() / tau).astype(temperature.dtype)


contrastive.defvjp(contrastive_fwd, contrastive_bwd)


def contrastive_jvp(primals, tangents):
    loss, (a, b, temperature, pull) = contrastive_fwd(*primals)
    da, db, dtau = tangents
    tau, dtau = temperature.astype(a.dtype), dtau.astype(a.dtype)
    S = _products(a, b) / tau
    dS = (_products(da, b) + _products(a, db) - S * dtau) / tau
    return loss, (pull * dS).sum()


def plain(a, b, temperature):
    """Two cross entropies, as in CLIP's paper: what `jax.vjp` has to judge by."""
    temperature = jnp.asarray(temperature)
    _check_arguments(a, b, temperature)
    temperature = temperature.astype(a.dtype)
    S = a @ b.T / temperature
    rows, columns = jax.nn.log_softmax(S, 1), jax.nn.log_softmax(S, 0)
    return -(jnp.trace(rows) + jnp.trace(columns)) / (2 * len(a))


def _products(a, b):
    """a @ b.T [N, N], split over devices by rows if a is."""
    return jnp.matmul(a, b.T, out_sharding=sharding(a, 1))


def _check_arguments(a, b, temperature):
    fits = a.ndim == 2
    expect("contrastive", "a", f"of shape {a.shape}", "[N, D]", fits)
    pair_of_floats("contrastive", a=a, b=b)
    expect_floats("contrastive", temperature=temperature)
    given = f"of shape {temperature.shape}"
    expect("contrastive", "temperature", given, "a scalar", temperature.shape == ())


def example(key, N, D):
    keys = jax.random.split(key, 3)
    a, b = (jax.random.normal(k, (N, D)) for k in keys[:2])
    return a, b, jax.random.uniform(keys[2], minval=0.8, maxval=1.5)


rule = Rule(
    op=contrastive,
    fwd=contrastive_fwd,
    bwd=contrastive_bwd,
    jvp=contrastive_jvp,
    example=example,
    reference=plain,
    cases=(Case({"N": 5, "D": 3}), Case({"N": 2, "D": 7}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 1024, "D": 512}),
    source="Radford et al. 2021, arXiv:2103.00020",
)
