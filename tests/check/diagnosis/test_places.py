"""Where a gradient is wrong: in the smallest words that hold on all samples, or not."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.places import where_wrong
from jaxninja.check.diagnosis.regions import dealt, only_there, region
from jaxninja.check.hints import say
from tests.check.diagnosis.evidence import evidence


def plain(x, ids):
    return jnp.where(x > 0.5, jnp.exp(x), x) * (1 + ids)[:, None]


def right(res, dy):
    x, ids = res
    return jnp.where(x > 0.5, jnp.exp(x), 1) * dy * (1 + ids)[:, None], None


def places(wrong, shape=(7, 7), seed=0):
    """Of dx that is 1 too large where `wrong(x, ids)`, at sizes 7 and 7 and at 5."""

    def bwd(res, dy):
        dx, none = right(res, dy)
        return dx + jnp.where(wrong(*res), 1.0, 0.0), none

    given = evidence(plain, lambda *a: (plain(*a), a), bwd, (shape, shape[0]))
    (problem,) = problems(given)
    others = [problem.on(given.resample(seed)) for seed in (51, 52, 53)]
    with np.errstate(all="ignore"):
        return where_wrong(problem, problem.on(given.resample(50)), others, 0)


def rows(x):
    return jnp.arange(len(x))[:, None]


def columns(x):
    return jnp.arange(x.shape[1])[None]


SEEN = {
    "the index along axis 0 is 4 or more": lambda x, ids: rows(x) >= 4,
    "the index along axis 1 is the last": lambda x, ids: columns(x) == x.shape[1] - 1,
    "the index along axis 1 is not 0": lambda x, ids: columns(x) > 0,
    "of the indices along axes 0 and 1 the first is less": (
        lambda x, ids: rows(x) < columns(x)
    ),
    "x > 1": lambda x, ids: x > 1,
    "x <= 0": lambda x, ids: x <= 0,
    "x is the largest along axis 1": lambda x, ids: x == x.max(1, keepdims=True),
    "x > 0.5": lambda x, ids: x > 0.5,  # a comparison of the forward
    "ids occurs before (from axis 0)": (
        lambda x, ids: jnp.tril(ids[:, None] == ids, -1).any(1, keepdims=True)
    ),
    "ids == 1 (from axis 0) and x > 0": lambda x, ids: (ids == 1)[:, None] & (x > 0),
}


@pytest.mark.parametrize("said", SEEN)
def test_says_where(said, x64):
    found = places(SEEN[said])
    assert found is not None
    holds = found[1]["holds"]
    assert holds == said or " and ".join(reversed(holds.split(" and "))) == said


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, ids: jnp.sin(31 * x) > 0,
        lambda x, ids: (rows(x) * 3 + columns(x) * 5) % 7 < 3,
        lambda x, ids: (x > 0.1) & (ids == 0)[:, None] & (rows(x) > 2),
        lambda x, ids: x > x.mean() + 0.07,
    ],
)
def test_says_nothing_where_no_words_hold(wrong, x64):
    assert places(wrong) is None


def test_a_bound_that_no_ordinary_input_is_at_is_left_out(x64):
    def bwd(x, dy):
        return (jnp.where(x < 0, 2 * dy, dy),)

    found = evidence(lambda x: x * 1.0, lambda x: (x * 1.0, x), bwd, [(12,)])
    (problem,) = problems(found)
    _, said = region(problem, problem.on(found.resample(5)), (), 0)
    assert said["holds"] == "x < 0"


def test_the_diagonal_is_named(x64):
    def bwd(res, dy):
        return (dy + jnp.diag(jnp.diag(dy)),)

    found = evidence(lambda a: a * 1.0, lambda a: (a * 1.0, None), bwd, [(3, 3)])
    (problem,) = problems(found)
    _, said = region(problem, problem.on(found.resample(5)), (), 0)
    assert said["holds"] == "column == row"


def test_an_entry_that_is_another_each_time_has_no_index(x64):
    def first_by_size(x, dy):
        return (jnp.where(x == x.max(), 2 * dy, dy),)

    found = evidence(lambda x: x * 1.0, lambda x: (x * 1.0, x), first_by_size, [(5,)])
    (problem,) = problems(found)
    others = [problem.on(found.resample(seed)) for seed in range(6)]
    assert not only_there(problem, others, 0)
    assert only_there(problem, [problem], 0)


def test_entries_in_turns_for_halves_are_told(x64):
    def plain(x):
        return x[:, ::2] * x[:, 1::2]

    def bwd(x, dy):
        return (jnp.concatenate([dy * x[:, 1::2], dy * x[:, ::2]], 1),)

    found = evidence(plain, lambda x: (plain(x), x), bwd, [(3, 6)])
    (problem,) = problems(found)
    assert dealt(problem, 0) == ("index", say("dealt", leaf="x", axis=1, step=2))
