"""Exercise 3: the gradient of batch normalisation, in one expression (1:36:37).

Exercise 1 took seven steps from hpreact to hprebn. Take them as one formula,

    bnraw = (hprebn - mean) / sqrt(var + 1e-5),   var = sum (hprebn - mean)^2 / (n - 1)
    hpreact = bngain * bnraw + bnbias

and write dhprebn in terms of dhpreact, which is given. Mind Bessel's correction.
"""

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.solutions.lecture import NETWORK


# fmt: off
def backward(
    hprebn, bnmeani, bndiff, bnvar, bnvar_inv, bnraw, bngain, bnbias, dhpreact, n
):
    # rule: Three paths lead from hprebn to hpreact: directly, by the mean, by the
    #   variance. Collect them on paper, and use that sum (hprebn - mean) = 0.
    # step: Undo gain and bias first: dbnraw = bngain * dhpreact. What is left is the
    #   normalisation, in which mean and var each serve all n rows.
    # step: dvar = sum over the rows of dbnraw * bndiff * -1/2 * (var + 1e-5)^(-3/2),
    #   which is -1/2 * bnvar_inv^2 * sum(dbnraw * bnraw).
    # step: dmean = -bnvar_inv * sum(dbnraw). The path from the mean by the variance
    #   brings nothing: its factor is sum (hprebn - mean) = 0.
    # step: Add up: dhprebn = bnvar_inv * dbnraw + dvar * 2 * bndiff / (n - 1) + dmean /
    #   n; then put dvar and dmean in, and take bnvar_inv / n out.
    # formula: bngain * bnvar_inv / n * (n * dhpreact - sum(dhpreact)
    #   - n / (n - 1) * bnraw * sum(dhpreact * bnraw)), sums over the rows.
    # why: Of dhpreact the mean is taken off, and its part along bnraw: a change of the
    #   column in these two directions is what normalisation takes away. The variance is
    #   over n - 1, hence n / (n - 1) inside.
    dhprebn = bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))  # noqa: E501

    return dhprebn


# fmt: on
EXERCISE = Exercise(
    3,
    "batch normalisation in one expression",
    NETWORK,
    forms={
        "hprebn": (
            "bngain * bnvar_inv * (dhpreact - dhpreact.mean(0)"
            " - bnraw * (dhpreact * bnraw).sum(0) / (n - 1))",
        ),
    },
    effort={"hprebn": (45, 2)},
    probes=("hpreact",),
    least=("bnvar_inv", "bnraw"),
    time="1:36:37",
)
