"""Moving entries: what the forward copies, the backward adds up where it came from."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    integers,
    normal,
    record,
    sizes,
)


def embedding(table, ids):
    return table[ids]


def embedding_fwd(table, ids):
    return table[ids], (ids, jnp.zeros_like(table))


def embedding_bwd(res, dy):
    ids, zeros = res
    return zeros.at[ids].add(dy), None


def gather(x, ids):
    """y[n, k] = x[n, ids[n, k]]."""
    return jnp.take_along_axis(x, ids, 1)


def gather_fwd(x, ids):
    return gather(x, ids), (ids, jnp.zeros_like(x))


def gather_bwd(res, dy):
    ids, zeros = res
    rows = jnp.arange(ids.shape[0])[:, None]
    return zeros.at[rows, ids].add(dy), None


def max_ties(x):
    """Largest entry of each row; ties share the gradient equally, as in jnp.max."""
    return x.max(-1)


def max_ties_fwd(x):
    y = x.max(-1)
    return y, (x, y)


def max_ties_bwd(res, dy):
    x, y = res
    top = (x == y[:, None]).astype(dy.dtype)
    return (top / top.sum(-1, keepdims=True) * dy[:, None],)


def cumsum(x):
    return jnp.cumsum(x, axis=1)


def cumsum_fwd(x):
    return cumsum(x), None


def cumsum_bwd(_, dy):
    return (jnp.flip(jnp.cumsum(jnp.flip(dy, 1), axis=1), 1),)


def segment_sum(x, ids, segments):
    """y[s] = sum of the rows of x with ids == s."""
    return jnp.zeros((segments, x.shape[1]), x.dtype).at[ids].add(x)


def segment_sum_fwd(x, ids, segments):
    return segment_sum(x, ids, segments), ids


def segment_sum_bwd(segments, ids, dy):
    return dy[ids], None


def dropout(x, key, rate):
    """Zero each entry with probability rate, scale the others by 1 / (1 - rate)."""
    return jnp.where(_kept(x, key, rate), x / (1 - rate), 0)


def _kept(x, key, rate):
    # float32 whatever x is, so that all dtypes see the same mask
    return jax.random.uniform(key, x.shape, jnp.float32) >= rate


def dropout_fwd(x, key, rate):
    keep = _kept(x, key, rate)
    return jnp.where(keep, x / (1 - rate), 0), keep


def dropout_bwd(rate, keep, dy):
    return jnp.where(keep, dy / (1 - rate), 0), None


def masked_mean(x, keep):
    """Mean over the times with keep; x [N, T, D], keep [N, T] has one true a row."""
    w = keep.astype(x.dtype)[..., None]
    return (x * w).sum(1) / w.sum(1)


def masked_mean_fwd(x, keep):
    w = keep.astype(x.dtype)[..., None]
    return masked_mean(x, keep), w / w.sum(1, keepdims=True)


def masked_mean_bwd(weight, dy):
    return weight * dy[:, None, :], None


def roll_concat(a, b, shift):
    """[a, b] along the last axis, a shifted cyclically."""
    return jnp.concatenate([jnp.roll(a, shift, 1), b], 1)


def roll_concat_fwd(a, b, shift):
    return roll_concat(a, b, shift), jnp.zeros(a.shape[1], a.dtype)


def roll_concat_bwd(shift, like_a, dy):
    D = like_a.shape[0]
    return jnp.roll(dy[:, :D], -shift, 1), dy[:, D:]


def upsample(x, factor):
    """Repeat each time `factor` times; x [N, T, D]."""
    return jnp.repeat(x, factor, axis=1)


def upsample_fwd(x, factor):
    return upsample(x, factor), None


def upsample_bwd(factor, _, dy):
    N, long, D = dy.shape
    return (dy.reshape(N, long // factor, factor, D).sum(2),)


def avg_pool(x, window):
    """Means of disjoint windows of the time axis; x [N, T, D]."""
    N, T, D = x.shape
    return x.reshape(N, T // window, window, D).mean(2)


def avg_pool_fwd(x, window):
    return avg_pool(x, window), None


def avg_pool_bwd(window, _, dy):
    return (jnp.repeat(dy, window, axis=1) / window,)


def sort(x):
    return jnp.sort(x, axis=1)


def sort_fwd(x):
    order = jnp.argsort(x, axis=1)
    return jnp.take_along_axis(x, order, 1), order


def sort_bwd(order, dy):
    rows = jnp.arange(order.shape[0])[:, None]
    return (jnp.zeros_like(dy).at[rows, order].set(dy),)


def table_and_ids(key, V, D, N):
    rng, dims = generator(key), {"V": V, "D": D, "N": N}
    return array(rng, "V D", dims), integers(rng, "N", dims, "V")


def rows_and_ids(key, N, D, K):
    rng, dims = generator(key), {"N": N, "D": D, "K": K}
    return array(rng, "N D", dims), integers(rng, "N K", dims, "D")


def segments_of(key, N, D):
    ids = (jnp.arange(N, dtype=jnp.int32) * 2) % 3
    return array(generator(key), "N D", {"N": N, "D": D}), ids


def with_key(key, N, D):
    return array(generator(key), "N D", {"N": N, "D": D}), jax.random.fold_in(key, 1)


def with_lengths(key, N, T, D):
    lengths = 1 + jnp.arange(N) % T
    keep = jnp.arange(T) < lengths[:, None]
    return array(generator(key), "N T D", {"N": N, "T": T, "D": D}), keep


RULES = (
    record(
        embedding,
        embedding_fwd,
        embedding_bwd,
        table_and_ids,
        sizes("V=7 D=3 N=11"),
        sizes("V=4 D=4 N=4"),
        source="Bengio et al. 2003",
    ),
    record(
        gather,
        gather_fwd,
        gather_bwd,
        rows_and_ids,
        sizes("N=3 D=4 K=7"),
        sizes("N=4 D=4 K=4"),
        source="numpy.take_along_axis",
    ),
    record(
        max_ties,
        max_ties_fwd,
        max_ties_bwd,
        normal("N D"),
        sizes("N=5 D=4"),
        sizes("N=4 D=4"),
        source="the subgradient of smallest length",
    ),
    record(
        cumsum,
        cumsum_fwd,
        cumsum_bwd,
        normal("N T"),
        sizes("N=3 T=7"),
        sizes("N=4 T=4"),
        source="prefix sums",
    ),
    record(
        segment_sum,
        segment_sum_fwd,
        segment_sum_bwd,
        segments_of,
        sizes("N=7 D=5", 3),
        sizes("N=4 D=4", 4),
        static=1,
        source="graph networks' sum over edges",
    ),
    record(
        dropout,
        dropout_fwd,
        dropout_bwd,
        with_key,
        sizes("N=5 D=7", 0.3),
        sizes("N=4 D=4", 0.5),
        static=1,
        source="Srivastava et al. 2014",
    ),
    record(
        masked_mean,
        masked_mean_fwd,
        masked_mean_bwd,
        with_lengths,
        sizes("N=3 T=5 D=2"),
        sizes("N=4 T=4 D=4"),
        source="mean over a padded sequence",
    ),
    record(
        roll_concat,
        roll_concat_fwd,
        roll_concat_bwd,
        normal("N D", "N H"),
        sizes("N=3 D=5 H=4", 2),
        sizes("N=4 D=4 H=4", 1),
        static=1,
        source="shifted sequences",
    ),
    record(
        upsample,
        upsample_fwd,
        upsample_bwd,
        normal("N T D"),
        sizes("N=2 T=5 D=3", 2),
        sizes("N=3 T=3 D=3", 3),
        static=1,
        source="nearest-neighbour interpolation",
    ),
    record(
        avg_pool,
        avg_pool_fwd,
        avg_pool_bwd,
        normal("N T D"),
        sizes("N=2 T=6 D=3", 2),
        sizes("N=3 T=9 D=2", 3),
        static=1,
        source="LeCun et al. 1998",
    ),
    record(
        sort,
        sort_fwd,
        sort_bwd,
        normal("N D"),
        sizes("N=3 D=5"),
        sizes("N=4 D=4"),
        source="a permutation that depends on the data",
    ),
)
