"""The digression (1:05:17): biased and unbiased variance in batch normalisation.

    biased    sum (x - mean)^2 / n          on average (n - 1)/n of the true variance
    unbiased  sum (x - mean)^2 / (n - 1)    Bessel's correction: right on average

The paper normalises with the biased one in training and uses the unbiased one at
inference; PyTorch does the same, as its running variance is unbiased. The lecture calls
this mismatch a bug, and uses the unbiased one in both. For a batch of one the unbiased
variance is 0 / 0.
"""

from dataclasses import dataclass

import numpy as np

from jaxninja.errors import ArgumentError

# who -> delta degrees of freedom (what is taken off n) in training, and at inference
DDOF = {
    "the paper (Ioffe and Szegedy 2015)": (0, 1),
    "torch.nn.BatchNorm1d": (0, 1),
    "the lecture, and jaxninja": (1, 1),
}


@dataclass(frozen=True)
class Convention:
    """One convention on one column of a batch, and what follows from it.

    Attributes:
        who: uses it.
        training, inference: the variance that is divided by.
        mismatch: their ratio, inference to training; 1 if there is none.
    """

    who: str
    training: float
    inference: float

    @property
    def mismatch(self) -> float:
        return self.inference / self.training

    def __str__(self) -> str:
        return (
            f"{self.who:<36} training {self.training:.4f}   inference "
            f"{self.inference:.4f}   ratio {self.mismatch:.4f}"
        )


def conventions(x) -> list[Convention]:
    """Each convention's variances of one column.

    Args:
        x: [N], N at least 2.

    Raises:
        ValueError: x is not one-dimensional, or has less than two entries.
    """
    x = np.asarray(x, "float64")
    if x.ndim != 1 or len(x) < 2:
        raise ArgumentError(
            f"x has shape {x.shape}, expected [N] with N at least 2: the unbiased "
            "variance of one number is 0 / 0"
        )
    return [
        Convention(who, float(x.var(ddof=a)), float(x.var(ddof=b)))
        for who, (a, b) in DDOF.items()
    ]


def averages(n: int, batches: int = 20_000, seed: int = 0) -> tuple[float, float]:
    """Mean of the biased and of the unbiased variance over batches of n normals.

    The true variance is 1. The first comes out near (n - 1)/n, the second near 1.
    """
    x = np.random.default_rng(seed).standard_normal((batches, n))
    return float(x.var(1).mean()), float(x.var(1, ddof=1).mean())
