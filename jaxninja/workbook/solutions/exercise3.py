"""Exercise 3: the gradient of batch normalisation, in one expression (1:36:37).

Exercise 1 took seven steps from hpreact to hprebn. Take them as one formula,

    bnraw = (hprebn - mean) / sqrt(var + 1e-5),   var = sum (hprebn - mean)^2 / (n - 1)
    hpreact = bngain * bnraw + bnbias

and write dhprebn in terms of dhpreact, which is given. Mind Bessel's correction.
"""


# fmt: off
def backward(
    hprebn, bnmeani, bndiff, bnvar, bnvar_inv, bnraw, bngain, bnbias, dhpreact, n
):
    # rule: Three paths lead from hprebn to hpreact: directly, by the mean, by the
    #   variance. Collect them on paper, and use that sum (hprebn - mean) = 0.
    # formula: bngain * bnvar_inv / n * (n * dhpreact - sum(dhpreact)
    #   - n / (n - 1) * bnraw * sum(dhpreact * bnraw)), sums over the rows.
    # why: Of dhpreact the mean is taken off, and its part along bnraw: a change of the
    #   column in these two directions is what normalisation takes away. The variance is
    #   over n - 1, hence n / (n - 1) inside.
    dhprebn = bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))  # noqa: E501

    return dhprebn
