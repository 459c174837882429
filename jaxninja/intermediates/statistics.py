"""What training does, in numbers: pure functions of arrays, cheap enough for a scan.

Healthy, for the lecture's networks: activations that use their range without sticking
to its ends, gradients of the same size in each layer, and updates of about a thousandth
of the parameters they move (log10 of -3).

`watch` measures any function whose intermediates are named:

    def loss(W):
        h = checkpoint_name(jnp.tanh(x @ W), "h")     # from jax.ad_checkpoint
        return (h**2).mean()

    value, seen = watch(loss, {"h": "tanh"})(W)       # seen["h"]["gradient"]["std"]
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxninja.errors import ArgumentError, ArgumentTypeError
from jaxninja.intermediates.gradients import retain_grads

BINS = 40
SATURATED = 0.97  # |tanh| beyond which its slope is below 0.06
DEAD = 0.99  # of the dead-unit map: the slope is below 0.02

Stats = dict[str, Any]


def histogram(a: Array, bins: int = BINS) -> Stats:
    """Counts in equal bins from the least to the greatest finite value.

    Args:
        a: of any shape. A constant array falls into the first bin.
        bins: their number.

    Returns:
        low and high, the ends; counts [bins]; nonfinite, how many NaN and infinities
        were left out (with nothing finite, low and high are 0).
    """
    return histograms({"a": a}, bins)["a"]


def histograms(arrays: Mapping[str, Array], bins: int = BINS) -> dict[str, Stats]:
    """The histogram of each array, as `histogram`, counted in one pass over all.

    One pass compiles and runs several times faster than one for each of fifty arrays.
    """
    flats = [a.ravel().astype(jnp.float32) for a in arrays.values()]
    ends = jnp.stack([_ends(a) for a in flats])  # [K, 2]
    which = np.repeat(np.arange(len(flats)), [a.size for a in flats])
    values = jnp.concatenate(flats)
    finite = jnp.isfinite(values)
    low, high = ends[which].T
    # of halves, since high - low overflows for -3e38 and 3e38
    width = jnp.where(high > low, high / 2 - low / 2, 1.0)
    place = jnp.where(finite, (values / 2 - low / 2) / width * bins, 0.0)
    index = which * bins + jnp.clip(place.astype(jnp.int32), 0, bins - 1)
    zeros = jnp.zeros(len(flats) * bins, jnp.int32)
    counts = zeros.at[index].add(finite.astype(jnp.int32)).reshape(-1, bins)
    return {
        name: {
            "low": ends[k, 0],
            "high": ends[k, 1],
            "counts": counts[k],
            "nonfinite": flats[k].size - counts[k].sum(),
        }
        for k, name in enumerate(arrays)
    }


def _ends(a: Array) -> Array:
    """Least and greatest finite value, or 0 and 0."""
    finite = jnp.isfinite(a)
    low = jnp.where(finite, a, jnp.inf).min(initial=jnp.inf)
    high = jnp.where(finite, a, -jnp.inf).max(initial=-jnp.inf)
    return jnp.where(low <= high, jnp.stack([low, high]), 0.0)


def flat(h: Array, kind: str | None, level: float = SATURATED) -> Array:
    """Where an activation function has (nearly) no slope, judged by its value h.

    tanh: |h| > level; sigmoid, which is a tanh of half its argument: |2 h - 1| > level;
    relu: h <= 0; gelu and gelu-tanh: |h| < (1 - level) / 3, which takes in the few that
    pass zero. Any other kind has no flat part that its value shows.
    """
    if kind == "tanh":
        return abs(h) > level
    if kind == "sigmoid":
        return abs(2 * h - 1) > level
    if kind == "relu":
        return h <= 0
    if kind in ("gelu", "gelu-tanh"):
        return abs(h) < (1 - level) / 3
    return jnp.zeros(h.shape, bool)


def dead_units(h: Float[Array, "*batch D"], kind: str | None) -> Array:
    """Units [D] that are flat for every example: their weights receive no gradient."""
    return flat(h, kind, DEAD).all(tuple(range(h.ndim - 1)))


def activation(h: Float[Array, "*batch D"], kind: str | None = None) -> Stats:
    """Mean and std; shares of values saturated, of units dead and of units constant.

    Args:
        h: [*batch, D]; the last axis counts units.
        kind: of activation function, as for `flat`.
    """
    batch = tuple(range(h.ndim - 1))
    return {
        "mean": h.mean(),
        "std": deviation(h),
        "saturated": flat(h, kind).mean(dtype=jnp.float32),
        "dead": dead_units(h, kind).mean(dtype=jnp.float32),
        "constant": _is_constant(h, batch).mean(dtype=jnp.float32),
    }


def _is_constant(h: Array, batch: tuple[int, ...]) -> Array:
    """Which units have one value for every example; without an example none has."""
    return h.max(batch, initial=-jnp.inf) == h.min(batch, initial=jnp.inf)


def gradient(d: Array) -> Stats:
    """Standard deviation of a gradient, and its share of exact zeros."""
    return {"std": deviation(d), "zero": (d == 0).mean(dtype=jnp.float32)}


def parameter(p: Array, dp: Array, update: Array) -> Stats:
    """How strongly a step moves a parameter.

    Args:
        p, dp, update: the parameter, its gradient and what the optimizer adds to it.

    Returns:
        data_std; grad_std and grad_zero, as from `gradient`; grad_data, which is
        std(dp) / std(p); and update_data, which is log10(std(update) / std(p)), -inf
        where nothing moves.
    """
    size, grad = deviation(p), gradient(dp)
    return {
        "data_std": size,
        "grad_std": grad["std"],
        "grad_zero": grad["zero"],
        "grad_data": grad["std"] / size,
        "update_data": jnp.log10(deviation(update) / size),
    }


def deviation(a: Array) -> Array:
    """Standard deviation over n - 1; for a single number, its magnitude."""
    return a.std(ddof=1) if a.size > 1 else abs(a).max(initial=0.0)


def global_norm(tree: Any) -> Array:
    """Root of the sum of squares of all entries of all arrays."""
    return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


def batchnorm_gap(running: tuple, calibrated: tuple, eps: float = 1e-5) -> Stats:
    """How far running statistics lie from calibrated ones, root mean square of units.

    Args:
        running, calibrated: mean [D] and variance [D].
        eps: added to both variances, as batchnorm does.

    Returns:
        mean: of (running mean - calibrated mean) / calibrated std;
        std: of running std / calibrated std - 1.
    """
    (mean, var), (true_mean, true_var) = running, calibrated
    off = (mean - true_mean) / jnp.sqrt(true_var + eps)
    ratio = jnp.sqrt((var + eps) / (true_var + eps)) - 1
    return {"mean": jnp.sqrt((off**2).mean()), "std": jnp.sqrt((ratio**2).mean())}


def watch(
    f: Callable[..., Any],
    kinds: Mapping[str, str | None] | None = None,
    has_aux: bool = False,
) -> Callable[..., tuple[Any, dict[str, Stats]]]:
    """Statistics of every array that f names, and of its gradient.

    Args:
        f: a real scalar of its arguments, as for `jaxninja.retain_grads`.
        kinds: name -> activation function (tanh, relu, ...), to know what is saturated.
        has_aux: f returns (value, aux).

    Returns:
        A function of f's arguments that returns f's result, and for each name
        {"activation": ..., "gradient": ...}, each with its histogram. It can be jitted.

    Raises:
        ValueError: a kind for an array that f does not name; see `retain_grads`.
        TypeError: kinds is no mapping.
    """
    kinds = kinds or {}
    if not isinstance(kinds, Mapping):
        raise ArgumentTypeError(
            f'kinds is {kinds!r}, expected the kind of each name, as in {{"h": "tanh"}}'
        )

    def watched(*args, **kwargs):
        retained = retain_grads(f, has_aux=has_aux, values=True)
        result, grads, named = retained(*args, **kwargs)
        unknown = kinds.keys() - named.keys()
        if unknown:
            known = ", ".join(named)
            raise ArgumentError(f"kinds has {sorted(unknown)}, but f names {known}")
        values, slopes = histograms(named), histograms(grads)
        return result, {
            name: {
                "activation": activation(h, kinds.get(name))
                | {"histogram": values[name]},
                "gradient": gradient(grads[name]) | {"histogram": slopes[name]},
            }
            for name, h in named.items()
        }

    return watched
