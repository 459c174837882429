"""The same mistake at all its places, and one thing too much."""

import pytest

from tests.workbook.bank import hinted
from tests.workbook.banks.exercise6 import h2
from tests.workbook.banks.exercise8 import GELU, OF_M

TOLD = {
    "no transpose": (
        6,
        "h2",
        h2().replace("Ur.T", "Ur").replace("Uz.T", "Uz"),
        "Ur, Uz should be transposed",
    ),
    "no sum": (6, "bz", "daz3 + daz2 + daz1", "of daz3, daz2, daz1 is missing"),
    "sums": (8, "x2", f"dy + {OF_M.replace('.mean', '.sum')}", "a sum stands where a"),
    "axes": (
        8,
        "x2",
        f"dy + {OF_M.replace('mean(2', 'mean(1')}",
        "the mean goes over axis 1, it should go over axis 2",
    ),
    "all axes": (
        3,
        "hprebn",
        "bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum() - n / (n - 1) * bnraw "
        "* (dhpreact * bnraw).sum())",
        "the sum goes over all axes",
    ),
    "a step of a chain": (
        8,
        "f",
        GELU.replace("* 1.5957691216057308 * (1.0 + 0.134145 * f**2)", ""),
        "the factor 1.5957691216057308 * (1.0 + 0.134145 * f ** 2) is missing",
    ),
    "a factor": (
        1,
        "counts",
        "counts_sum_inv * dprobs + counts * dcounts_sum",
        "dcounts_sum is multiplied by counts, and should not be",
    ),
    "a size": (
        1,
        "counts",
        "counts_sum_inv * dprobs + dcounts_sum / counts.shape[1]",
        "divided by V (logits.shape[1]), and should not be",
    ),
    "a sum": (
        1,
        "bnraw",
        "(bngain * dhpreact).sum(0)",
        "bngain * dhpreact is summed over axis 0, and should not be",
    ),
    "one for all": (7, "x", "(dq + dk + dv) @ Wq.T", "Wq stands where Wk, Wv should"),
    "another kind": (
        6,
        "Uc",
        "h2.T @ dac3 + h1.T @ dac2 + h0.T @ dac1",
        "h0, h1, h2 stand where rh1, rh2, rh3 should",
    ),
    "one branch of many": (6, "h2", h2(0, 2, 3, 4), "its branch by h3 only"),
    "another order of steps": (
        6,
        "Wz",
        "x1.T @ daz3 + x2.T @ daz2 + x3.T @ daz1",
        "daz3 and daz1 are exchanged",
    ),
    "a factor of the first term alone": (
        8,
        "x2",
        f"dy + {OF_M.replace('rstd_m * (dmhat', '(rstd_m * dmhat')}",
        "* rstd_m is of one term alone, it should be of all",
    ),
    "another size of the same length here": (
        8,
        "q",
        "dz @ k / jnp.sqrt(T)",
        "T stands where K should",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_it_is_told_as_one(case):
    number, name, code, told = TOLD[case]
    (hint,) = hinted(number, name, code)
    assert told in hint
