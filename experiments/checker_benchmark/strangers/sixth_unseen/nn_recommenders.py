"""Layers and losses of recommender models."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "pairwise products of DLRM's features, below the diagonal, in JAX recommenders",
    "recommender",
    lambda rng: (normal(rng, 4, 5), normal(rng, 4, 3, 5), False),
    Twin(
        "one side of the products",
        "term|path|factor|ratio|transpose",
        "dense sparse",
        "A product is pulled back to one of its two features.",
    ),
    Twin(
        "dense features passed on",
        "term|path",
        "dense",
        "The dense features that are passed on get no gradient for it.",
    ),
    Twin(
        "order of the pairs",
        "index|transpose|elements",
        "dense sparse",
        "The pairs are put back in the order of the upper triangle.",
    ),
)
def dlrm_interaction(slip):
    def below(count, itself):
        return jnp.tril_indices(count, 0 if itself else -1)

    def stacked(dense, sparse):
        return jnp.concatenate([dense[:, None], sparse], 1)

    def plain(dense, sparse, itself):
        features = stacked(dense, sparse)
        rows, columns = below(features.shape[1], itself)
        products = jnp.einsum("bid,bjd->bij", features, features)
        return jnp.concatenate([dense, products[:, rows, columns]], 1)

    interact = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(dense, sparse, itself):
        return plain(dense, sparse, itself), (dense, sparse)

    def bwd(itself, res, g):
        dense, sparse = res
        features = stacked(dense, sparse)
        count, width = features.shape[1], dense.shape[1]
        rows, columns = below(count, itself)
        if slip == "order of the pairs":
            columns, rows = jnp.triu_indices(count, 0 if itself else 1)
        dproducts = jnp.zeros((g.shape[0], count, count), g.dtype)
        dproducts = dproducts.at[:, rows, columns].set(g[:, width:])
        if slip != "one side of the products":
            dproducts = dproducts + dproducts.mT
        dfeatures = dproducts @ features
        ddense = dfeatures[:, 0]
        if slip != "dense features passed on":
            ddense = ddense + g[:, :width]
        return ddense, dfeatures[:, 1:]

    interact.defvjp(fwd, bwd)
    return interact, plain


def train_of_cores(count):
    def args(rng):
        cores = {
            "first": normal(rng, 3, 2, 3, std=0.6),
            "middle": normal(rng, 4, 3, 2, 3, std=0.6),
            "last": normal(rng, 2, 3, 2, std=0.6),
        }
        return jnp.asarray(rng.permutation(24)[:count], jnp.int32), cores

    return args


@case(
    "tables of embeddings as tensor trains (TT-Rec), rows found by mixed digits",
    "recommender",
    train_of_cores(5),
    Twin(
        "digits that are shared",
        "duplicates|index|sum",
        "cores",
        "Of the rows that share a digit the last one writes to its core.",
        witness=train_of_cores(12),
    ),
    Twin(
        "order of the digits",
        "index|swap|elements|transpose",
        "cores",
        "The gradients are scattered by the digits of the other end first.",
    ),
    Twin(
        "product to the left",
        "operand|residual|term",
        "cores",
        "The last core is given the middle core alone and not what is left of it.",
    ),
)
def tensor_train_embedding(slip):
    def digits(ids, cores):
        """Of an id in the mixed base of the cores' lengths, the last one fastest."""
        last, middle = cores["last"].shape[0], cores["middle"].shape[0]
        return ids // (last * middle), ids // last % middle, ids % last

    def parts(ids, cores):
        i, j, k = digits(ids, cores)
        return cores["first"][i], cores["middle"][j], cores["last"][k]

    @jax.custom_vjp
    def look_up(ids, cores):
        out = jnp.einsum("nar,nrbs,nsc->nabc", *parts(ids, cores))
        return out.reshape(ids.shape[0], -1)

    def fwd(ids, cores):
        return look_up.fun(ids, cores), (ids, cores)

    def bwd(res, g):
        ids, cores = res
        a, b, c = parts(ids, cores)
        g = g.reshape(-1, a.shape[1], b.shape[2], c.shape[2])
        left = jnp.einsum("nar,nrbs->nabs", a, b)
        if slip == "product to the left":
            left = jnp.broadcast_to(b.sum(1, keepdims=True), left.shape)
        drows = {
            "first": jnp.einsum("nabc,nrbs,nsc->nar", g, b, c),
            "middle": jnp.einsum("nabc,nar,nsc->nrbs", g, a, c),
            "last": jnp.einsum("nabs,nabc->nsc", left, g),
        }
        i, j, k = digits(ids, cores)
        if slip == "order of the digits":
            first, middle = cores["first"].shape[0], cores["middle"].shape[0]
            i, j, k = ids % first, ids // first % middle, ids // (first * middle)

        def scattered(name, at):
            empty = jnp.zeros_like(cores[name]).at[at]
            shared = slip == "digits that are shared"
            return empty.set(drows[name]) if shared else empty.add(drows[name])

        places = {"first": i, "middle": j, "last": k}
        return None, {name: scattered(name, at) for name, at in places.items()}

    look_up.defvjp(fwd, bwd)
    return look_up, look_up.fun
