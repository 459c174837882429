"""Several things left out at once are each named; other right forms are known."""

import pytest

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered, hinted

JACOBIAN = ("the factor att is missing", "(att * datt).sum(2, keepdims=True) is not")
MISSING = {
    "1/n and the one-hot": (
        2,
        "logits",
        "jax.nn.softmax(logits, 1)",
        ("the factor 1/n is missing", "the one-hot of the targets is not subtracted"),
    ),
    "two terms and a factor": (
        8,
        "x",
        "dx2 + dahat",
        ("the factor rstd_a", "ahat * (dahat * ahat).mean(2", "dahat.mean(2"),
    ),
    "a product rule": (
        8,
        "f",
        "s * (1 - s) * dh",
        ("the term s is missing", "the factor (f * 1.5957691216057308 * (1.0 + 3 * "),
    ),
    "a Jacobian": (7, "masked", "datt", JACOBIAN),
    "a Jacobian under a mask": (7, "masked", "jnp.where(seen, datt, 0)", JACOBIAN),
    "a diagonal of no upstream": (
        7,
        "masked",
        "att * (1 - att)",
        ("the diagonal of softmax's Jacobian alone", "datt, the upstream gradient"),
    ),
    "a factor and a matrix": (
        6,
        "ar2",
        "r2 * (1 - r2) * dac2",
        ("the factor h1 is missing", "the matrix product of dac2 is missing: @ Uc.T"),
    ),
    "what would be copied": (
        1,
        "bndiff2",
        "1 / n * jnp.ones_like(bnvar)",
        ("the upstream gradient, is not", "Bessel's correction", "so copy it"),
    ),
    "sums in place of means": (
        3,
        "hprebn",
        "bngain * bnvar_inv * (dhpreact - dhpreact.sum(0) - bnraw * (dhpreact * bnraw)"
        ".sum(0))",
        ("a sum stands where a mean should", "the factor 1/(n - 1) is missing"),
    ),
    "in the learner's form": (
        4,
        "hprebn",
        "bngain * bnvar_inv * (dhpreact - dbnbias - bnraw * dbngain)",
        ("the factor 1/n is missing", "the factor 1/(n - 1) is missing"),
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_each_missing_part_is_named(case):
    number, name, code, parts = MISSING[case]
    hints = hinted(number, name, code)
    assert len(hints) == len(parts)
    assert all(part in hint for part, hint in zip(parts, hints, strict=True))


@pytest.mark.parametrize("number", [n for n, e in EXERCISES.items() if e.forms])
def test_the_other_forms_are_right(number):
    exercise = EXERCISES[number]
    for k in range(max(map(len, exercise.forms.values()))):
        chosen = {
            name: f"d{name} = {forms[k % len(forms)]}"
            for name, forms in exercise.forms.items()
        }
        assert check(number, answered(number, **chosen), exercise.file).ok
