"""Batchnorm's three kinds of statistics, for inputs of any number of axes.

    training     of the batch itself: `rules.batchnorm`, which differentiates them
    running      running + momentum (batch - running), step after step, for inference
    calibrated   of a whole data set with fixed parameters: what running aims at

All are means and variances [D] over all axes but the last, the variance over n - ddof
with ddof 0 or 1 in each. With the last two batchnorm is an affine map, `frozen`, and an
example's output no longer depends on its neighbours in the batch.
"""

from collections.abc import Iterable

import jax
from jaxtyping import Array, Float

from jaxninja.errors import ArgumentError
from jaxninja.rules.normalisation.batchnorm import batch_statistics

Moments = tuple[Float[Array, "D"], Float[Array, "D"]]  # mean and variance


def running(
    old: Moments, x: Float[Array, "*batch D"], momentum: float, ddof: int = 1
) -> Moments:
    """Running mean and variance [D] after one more batch; momentum weighs the new."""
    new = batch_statistics(x, ddof)
    mean, var = (a + momentum * (b - a) for a, b in zip(old, new, strict=True))
    return mean, var


def calibrated(batches: Iterable[Array], ddof: int = 1) -> Moments:
    """Mean and variance [D] of all rows of all batches, as if they were one batch.

    In one pass: batches are merged pairwise by their counts, means and sums of squares
    about the mean (Chan, Golub, LeVeque 1979), which cancels no digits.

    Args:
        batches: arrays [..., D] of any numbers of rows.
        ddof: the variance is over all rows less ddof.

    Raises:
        ValueError: there are not more than ddof rows in all.
    """
    count, mean, squares = 0, 0.0, 0.0
    for x in batches:
        n = x.size // x.shape[-1]
        batch_mean, batch_var = batch_statistics(x, 0)
        apart, total = batch_mean - mean, count + n
        mean = mean + apart * (n / total)
        squares = squares + batch_var * n + apart**2 * (count * n / total)
        count = total
    if count <= ddof:
        raise ArgumentError(f"{count} rows in all, expected more than ddof = {ddof}")
    return mean, squares / (count - ddof)  # type: ignore[return-value]


def frozen(
    x: Float[Array, "*batch D"],
    gamma: Float[Array, "D"],
    beta: Float[Array, "D"],
    moments: Moments,
    eps: float = 1e-5,
) -> Float[Array, "*batch D"]:
    """Batchnorm at inference: gamma (x - mean) / sqrt(var + eps) + beta."""
    mean, var = moments
    return gamma * ((x - mean) * jax.lax.rsqrt(var + eps)) + beta
