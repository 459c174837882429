"""The check is tested by answers: every wrong one must fail, every right one pass."""

import itertools

import pytest

from jaxninja.workbook import samples
from jaxninja.workbook.code import parse, snippets
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check, prepared
from tests.workbook.bank import (
    NUMPY_AT,
    NUMPY_LOOP,
    RIGHT,
    TOGETHER,
    WRONG,
    answered,
    lines,
)


def checked(number, **answers):
    text = answered(
        number, **{name: lines(name, code) for name, code in answers.items()}
    )
    return check(number, text, EXERCISES[number].file, explain=False)


def test_every_wrong_answer_fails_at_its_own_name():
    """One test for all: what is compiled for one serves the next."""
    slipped = []
    for number, name, code in WRONG:
        report = checked(number, **{name: code})
        guilty = report.guilty and report.guilty.name
        before = {row.status for row in report.rows if row.name != name} <= {"ok"}
        if (report.status, guilty, before) != ("wrong", name, True):
            slipped.append((number, name, code, report.status, guilty))
    assert slipped == []
    assert len(WRONG) >= 80
    assert {name for number, name, _ in WRONG if number == 1} == {*EXERCISES[1].names}


def rounds():
    """The right answers, one for each gradient at a time, as an exercise's text."""
    waiting = [*RIGHT]
    while waiting:
        number = waiting[0][0]
        chosen = {}
        for entry in [*waiting]:
            if entry[0] == number and entry[1] not in chosen:
                chosen[entry[1]] = entry[2]
                waiting.remove(entry)
        yield number, chosen


def test_every_right_answer_passes():
    refused = []
    for number, answers in rounds():
        report = checked(number, **answers)
        if not report.ok:
            refused.append((answers, str(report)))
    assert refused == []
    assert len(RIGHT) >= 20


def test_several_gradients_in_one_line():
    """Each is its own: the second is wrong while the first is right."""
    text = answered(1, **TOGETHER)
    assert check(1, text, "exercise1.py").ok
    second = text.replace("(0), dhpreact.sum(0)", "(0), 0 * dhpreact.sum(0)")
    assert check(1, second, "exercise1.py", explain=False).guilty.name == "bnbias"
    gaps = answered(1, **TOGETHER | {"bngain": "dbngain, dbnbias = None, None"})
    assert check(1, gaps, "exercise1.py").rows[-1].note.startswith("dbngain is still")


@pytest.mark.parametrize("number", EXERCISES)
def test_zeros_fail_at_the_first_gradient(number):
    """A checker in the wild passed a file of zeros."""
    exercise = EXERCISES[number]
    zeros = {name: f"jnp.zeros_like({name})" for name in exercise.names}
    report = checked(number, **zeros)
    assert report.guilty.name == exercise.names[0]
    assert set(report.unreliable) <= {*exercise.names[1:]}


def test_the_own_chain_is_told_from_a_mistake():
    """After the first wrong gradient the rest is right by itself, and inherits."""
    exercise = EXERCISES[1]
    text = answered(
        1, hpreact="dhpreact = (1.0 - h) * dh", W1="dW1 = embcat.T @ dbndiff"
    )
    report = check(1, text, exercise.file, everything=True, explain=False)
    found = {row.name: row.status for row in report.rows}
    above = itertools.takewhile(lambda name: name != "hpreact", exercise.names)
    assert {found[name] for name in above} == {"ok"}
    wrong = {name for name, status in found.items() if status == "wrong"}
    assert wrong == {"hpreact", "W1"}
    assert {found[k] for k in ("bngain", "bnraw", "hprebn", "C")} == {"inherited"}


SHAPES = {
    "bngain": "(bnraw * dhpreact).sum(0, keepdims=True)",
    "bnbias": "dhpreact.sum(0, keepdims=True)",
    "bnmeani": "-dbndiff.sum(0)",
}


def test_right_numbers_of_a_wrong_shape_are_a_state_of_their_own():
    """The check goes on; what is below is right, and the exercise is not done."""
    report = checked(1, **SHAPES)
    found = {row.name: row.status for row in report.rows}
    assert {k for k, status in found.items() if status == "shape"} == {*SHAPES}
    assert {*found} == {*EXERCISES[1].names}
    assert {found[k] for k in found if k not in SHAPES} == {"ok"}
    assert (report.status, report.guilty.name) == ("wrong", "bngain")
    notes = {row.name: row.note for row in report.rows}
    assert "[64], expected [1, 64]: a sum without keepdims" in notes["bnmeani"]
    assert "[1, 64], expected [64]" in notes["bngain"]
    assert "inf" not in str(report)


def test_wrong_numbers_below_a_wrong_shape_are_the_guilty_ones():
    report = checked(1, **SHAPES, W1="embcat.T @ dbndiff")
    assert report.guilty.name == "W1"


def test_all_of_it_is_checked_on_all_samples():
    """Below a wrong gradient too: the lecture's sizes would pass both of these."""
    grad = "jax.grad(lambda e: (e.reshape(n, -1) * dembcat).sum())(emb)"
    answers = {"probs": "dlogprobs", "logits": "dnorm_logits", "emb": grad}
    text = answered(1, **{name: lines(name, code) for name, code in answers.items()})
    report = check(1, text, "exercise1.py", everything=True, explain=False)
    found = {row.name: row.status for row in report.rows}
    assert {k for k, s in found.items() if s == "wrong"} == {"probs", "logits", "emb"}
    assert {found[k] for k in ("counts", "h")} == {"inherited"}
    assert report.guilty.name == "probs"


def test_the_true_gradients_can_be_made_ahead():
    """While nobody asks: no check makes any then."""
    assert len({(s.sizes, s.dtype, s.probe) for s in prepared()}) == 10
    made = samples.sample.cache_info().misses
    assert checked(3).ok
    assert checked(1).ok
    assert samples.sample.cache_info().misses == made > 0


LONG = """db1 = dhprebn.sum(0)
for k in range(4001):
    db1 += 0"""
RETURNS = "return dC, dW1, db1, dW2, db2, dbngain, dbnbias"
PRINTED = f"print('here')\n    {RETURNS}"
OTHER = f"others = db1, db2\n    {RETURNS.replace('db1', 'others[0]')}"


@pytest.mark.parametrize(
    ("end", "again"),
    [(RETURNS, False), (RETURNS.replace("dC", "0 + dC"), False), (PRINTED, False),
     (OTHER, True)],
)  # fmt: skip
def test_a_loop_that_jax_cannot_trace_is_run_twice_only_where_it_must(
    end, again, monkeypatch
):
    """What `return` gives is known by then, and to run all lines takes a second."""
    text = answered(1, C=lines("C", NUMPY_LOOP)).replace(RETURNS, end)
    runs, run = [], snippets.Piece.__call__
    monkeypatch.setattr(
        snippets.Piece,
        "__call__",
        lambda piece, *args: runs.append(piece) or run(piece, *args),
    )
    assert check(1, text, "exercise1.py", explain=False).ok
    assert any(piece.key == (text,) for piece in runs) == again


@pytest.mark.parametrize(
    ("end", "told"),
    [("return dC, dW1", "a tuple of 7; it returns 2"), ("return", "it returns None"),
     (RETURNS.replace("dC", "-dC"), "returns for dC is not the dC above"),
     (RETURNS.replace("dC", "C.T @ C"), "returns for dC is not the dC above")],
)  # fmt: skip
def test_what_is_returned_after_such_a_loop_is_checked_all_the_same(end, told):
    text = answered(1, C=lines("C", NUMPY_LOOP)).replace(RETURNS, end)
    assert told in check(1, text, "exercise1.py", explain=False).message


@pytest.mark.parametrize(
    ("code", "place", "told"),
    [(NUMPY_AT, "np.add.at(", "NumPy cannot be compiled: use jnp"),
     (NUMPY_LOOP, "int(", "before there are numbers: int, float")],
)  # fmt: skip
def test_exercise_4_is_not_done_before_it_can_train(code, place, told):
    """All 13 gradients are right; `jaxninja train` would refuse the file."""
    text = answered(4, C=lines("C", code))
    report = check(4, text, "exercise4.py", explain=False)
    assert report.status == "error"
    assert "all 13 gradients are right, but" in report.message
    assert told in report.message
    assert place in text.splitlines()[report.line - 1]
    assert len(report.rows) == 13


def test_a_long_loop_can_train_all_the_same():
    """Too long for NumPy to run what was traced, it is compiled by training."""
    read = parse.read(answered(4, b1=LONG), "exercise4.py")
    function = snippets.whole(read, snippets.environment(read))
    values = samples.home(EXERCISES[4].network).values
    assert function.untraceable(values, {}) is None
    assert not function.is_quick(values, {})


@pytest.mark.parametrize(
    ("code", "told"),
    [("dlogit = logits", "line 14 assigns dlogit: is that it?"),
     ("dlogits = [logits[0], logits[1]]", "a list of 2, expected one array: jnp.stack"),
     ("dlogits = (logits,)", "a tuple of 1, expected one array: is there a comma too")],
)  # fmt: skip
def test_what_is_no_array_is_told_by_what_it_is(code, told):
    report = check(2, answered(2, logits=code), "exercise2.py", explain=False)
    assert (report.status, report.line) in {("gap", 14), ("wrong", 14)}
    assert told in report.message
