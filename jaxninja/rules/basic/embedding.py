"""Embedding: pick rows of a table by integer id.

    emb[n] = C[ids[n]]

Perturb the table and collect what reaches emb:

    emb[n] moves by dC[ids[n]]

Transpose: each row of the table gathers the cotangents of every place that read it,

    dC[v] = sum of demb[n] over the n with ids[n] = v

so a row that was read twice receives two terms (a plain assignment would keep the last
one only), and a row that was not read receives zero. ids are integers: no gradient.

Check: with every id the same, dC has one row that is not zero, the sum of all of demb;
with ids = 0, 1, ..., V - 1 the table is copied and dC = demb.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxninja.rule import Case, Rule, expect, expect_floats, sharding


class Residuals(NamedTuple):
    ids: jax.Array  # [*batch]
    rows: jax.Array  # [V, 0]: no bytes; it carries V and the type. C is not kept


@jax.custom_vjp
def embedding(
    C: Float[Array, "V D"], ids: Integer[Array, "*batch"]
) -> Float[Array, "*batch D"]:
    """Look up rows of a table: emb = C[ids].

    Args:
        C: [V, D] table.
        ids: [*batch] integers in [0, V). An id outside reads a row of NaN (JAX would
            clamp it silently) and sends no gradient.

    Returns:
        [*batch, D] rows.

    Raises:
        ValueError: C is not [V, D] with V > 0, or ids are not integers.

    Source: Bengio, Ducharme, Vincent, Jauvin 2003, JMLR 3.
    """
    return embedding_fwd(C, ids)[0]


def embedding_fwd(C, ids):
    C = jnp.asarray(C)  # NumPy's arrays have no `at`
    _check_arguments(C, ids)
    return _rows(C, ids, jnp.nan), Residuals(ids, C[:, :0])


def embedding_bwd(res, demb):
    """Returns dC [V, D], and None for the integer ids."""
    dC = jnp.zeros((len(res.rows), demb.shape[-1]), res.rows.dtype)
    how = {"wrap_negative_indices": False, "out_sharding": sharding(res.rows)}
    return dC.at[res.ids].add(demb, mode="drop", **how), None


embedding.defvjp(embedding_fwd, embedding_bwd)


def embedding_jvp(primals, tangents):
    """Returns emb and its move demb [*batch, D] for a move dC of C."""
    (C, ids), (dC, _) = primals, tangents
    emb = embedding_fwd(C, ids)[0]
    return emb, _rows(dC, ids, 0)


def _rows(C, ids, outside):
    """C[ids], and `outside` where an id is none of a row."""
    how = {"wrap_negative_indices": False, "out_sharding": sharding(ids)}
    return C.at[ids].get(mode="fill", fill_value=outside, **how)


def _check_arguments(C, ids):
    fits = C.ndim == 2 and len(C) > 0
    expect("embedding", "C", f"of shape {C.shape}", "[V, D] with V > 0", fits)
    expect_floats("embedding", C=C)
    integer = jnp.issubdtype(ids.dtype, jnp.integer)
    expect("embedding", "ids", f"of type {ids.dtype}", "integers", integer)


def example(key, V, D, N, T):
    key_C, key_ids = jax.random.split(key)
    C = jax.random.normal(key_C, (V, D))
    return C, jax.random.randint(key_ids, (N, T), 0, V)


rule = Rule(
    op=embedding,
    fwd=embedding_fwd,
    bwd=embedding_bwd,
    jvp=embedding_jvp,
    example=example,
    cases=(
        Case({"V": 7, "D": 5, "N": 3, "T": 2}),
        Case({"V": 2, "D": 3, "N": 11, "T": 1}),  # every row many times
        Case({"V": 13, "D": 1, "N": 1, "T": 1}),  # nearly every row never
        Case({"V": 5, "D": 5, "N": 5, "T": 5}),
    ),
    bench=Case({"V": 27, "D": 64, "N": 4096, "T": 8}),
    source="Bengio, Ducharme, Vincent, Jauvin 2003, JMLR 3",
)
