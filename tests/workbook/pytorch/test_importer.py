"""Notebooks of learners, from their file to the check of the exercises."""

import json

import nbformat
import pytest

from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.pytorch.errors import NotebookError
from jaxninja.workbook.pytorch.importer import imported
from tests.workbook.pytorch import notebooks
from tests.workbook.pytorch.notebooks import (
    FORWARD,
    SETUP,
    answered,
    atomic,
    read,
    solved,
)
from tests.workbook.pytorch.styles import RIGHT, WRONG


def checked(one):
    file = f"exercise{one.number}.py"
    return one.judged(check(one.number, one.complete, file, True, explain=False))


def test_the_lectures_own_way_is_whole_and_right(tmp_path):
    found = read(tmp_path, solved(2, "logits", notebooks.ENTROPY))
    assert [*found] == [1, 2, 3]
    for number, one in found.items():
        assert one.found == EXERCISES[number].names
        assert one.left == one.remarks == ()
        assert checked(one).ok, number


def together(right):
    """Answers, the first to each gradient, then the second: a check takes its time,
    and each gradient is checked on the true ones before it as well."""
    ways = {}
    for number, name, answer in right:
        ways.setdefault((number, name), []).append(answer)
    for turn in range(max(map(len, ways.values()))):
        yield {at: each[turn] for at, each in ways.items() if turn < len(each)}


def test_every_right_answer_is_right_in_jax(tmp_path):
    assert sum(map(len, together(RIGHT))) == len(RIGHT)
    for answers in together(RIGHT):
        found = read(tmp_path, answered(answers))
        for one in (found[number] for number in {number for number, _ in answers}):
            report = checked(one)
            assert one.left == (), (answers, one.left)
            assert report.ok, (answers, report.message, one.text)


def test_every_wrong_answer_stays_wrong_and_is_named(tmp_path):
    for number, name, answer, code in WRONG:
        one = read(tmp_path, solved(number, name, answer))[number]
        report = check(number, one.text, "exercise.py")
        assert report.guilty, (name, answer)
        assert report.guilty.name == name, (name, answer, report.message)
        codes = [hint.code for hint in report.hints]
        assert not code or code in codes, (name, answer, codes)


def test_what_has_no_translation_is_a_gap_with_its_line(tmp_path):
    answers = {
        "probs": "dprobs = probs.grad",
        "h": "q = torch.linalg.qr(W2.T)[0]\ndh = dlogits @ q",
        "b2": "db2 =",
        "W2": "dW2 = h.t_()",
        "C": "dC = torch.zeros_like(C)\nx = dembcat\nx.resize_(3)\ndC[0] += x",
    }
    one = read(tmp_path, [SETUP, FORWARD, atomic(**answers)])[1]
    left = {text: (place, why) for place, text, why in one.left}
    assert left["dprobs = probs.grad"][0] == "cell 3, line 3"
    assert "PyTorch's own gradient" in left["dprobs = probs.grad"][1]
    assert "qr" in left["q = torch.linalg.qr(W2.T)[0]"][1]
    assert "it needs q of cell 3" in left["dh = dlogits @ q"][1]
    assert "not Python" in left["db2 ="][1]
    assert "changes h besides" in left["dW2 = h.t_()"][1]
    assert "resize_" in left["x.resize_(3)"][1]
    gone = {"probs", "h", "b2", "W2", "C"}
    assert one.found == tuple(k for k in EXERCISES[1].names if k not in gone)
    source = parse.read(one.text, "exercise1.py")
    assert {k for k in EXERCISES[1].names if source.is_gap(f"d{k}")} == gone
    assert "# cell 3, line 3 has no translation" in one.text
    assert "#   dprobs = probs.grad" in one.text
    report = checked(one)
    assert report.status == "gap"
    assert {row.name for row in report.rows if row.status == "gap"} == gone
    assert {row.status for row in report.rows if row.name not in gone} == {"ok"}
    assert "dprobs is still None" in report.message


def test_a_copy_that_is_changed_changes_nothing(tmp_path):
    answer = (
        "dlogits = F.softmax(logits, 1)\ndlogits[range(n), Yb].sub_(1)\ndlogits /= n"
    )
    one = read(tmp_path, solved(2, "logits", answer))[2]
    assert one.found == ()
    assert "a copy" in one.left[1][2]


def test_what_is_not_done_yet_stays_to_be_done(tmp_path):
    half = dict.fromkeys([*EXERCISES[1].names][8:])
    todo = "dlogits = None # TODO. my solution is 3 lines"
    cells = [SETUP, FORWARD, atomic(**half), "# Exercise 2:", todo]
    found = read(tmp_path, cells)
    assert [*found] == [1]
    assert found[1].found == EXERCISES[1].names[:8]
    report = checked(found[1])
    assert report.status == "gap"
    assert sum(row.status == "ok" for row in report.rows) == 8
    assert "logits = h @ W2 + b2" in found[1].text  # as the exercise has its gaps


def test_of_several_attempts_the_last_counts(tmp_path):
    """Cell by cell first, then all of it; no exercise is named."""
    tries = [
        f"{text.replace('1.0', '3.0')}\nprint(probs)"
        for text in notebooks.ATOMIC.values()
    ]
    cells = [SETUP, FORWARD, *tries, atomic(), notebooks.ENTROPY, notebooks.BATCHNORM]
    found = read(tmp_path, cells)
    assert [*found] == [1, 2, 3]
    assert all(checked(one).ok for one in found.values())
    assert "3.0" not in found[1].text
    assert "softmax" not in found[1].text
    assert "dnorm_logits" not in found[2].text


def test_the_training_loop_is_nobodys_answer(tmp_path):
    lines = f"{notebooks.ENTROPY}\n{atomic(logits='')}".replace("\n", "\n    ")
    loop = f"with torch.no_grad():\n  for i in range(9):\n    {lines}"
    cells = [SETUP, FORWARD, atomic(C=None), loop]
    found = read(tmp_path, cells)
    assert [*found] == [1]
    assert "C" not in found[1].found


def test_arrays_and_sizes_under_other_names(tmp_path):
    by_rows = "top = logits.argmax(1)\ndlogits = dnorm_logits.clone()\n"
    by_rows += "dlogits[range(n), top] += dlogit_maxes[range(n), 0]"  # no label
    added = "dC = torch.zeros_like(C)\n"
    added += "dC.index_add_(0, Xb.view(-1), demb.view(-1, 10))"
    cells = [
        cell.replace(notebooks.ATOMIC["C"], added)
        for cell in solved(1, "logits", by_rows)
    ]
    names = {"hprebn": "linear", "bnvar_inv": "inv_std", "logit_maxes": "tops"}
    names |= {"Yb": "yb", "batch_size": "BATCH", "norm_logits": "shifted"}
    names |= {"n_embd": "width", "demb.view(-1, 10)": "demb.view(-1, width)"}
    for old, new in names.items():
        cells = [cell.replace(old, new) for cell in cells]
    cells = [cell.replace("1/n", "1/BATCH").replace("n = BATCH", "") for cell in cells]
    found = read(tmp_path, cells)
    assert all(checked(one).ok for one in found.values())
    assert not any(name in found[1].text for name in ("BATCH", "inv_std", "shifted"))


def test_answers_without_the_forward_pass_are_whole(tmp_path):
    """`emb` is made of embcat alone, and demb of dembcat: a gradient is no step."""
    found = read(tmp_path, [notebooks.atomic()])
    one = found[1]
    assert one.found == EXERCISES[1].names
    assert one.left == ()
    assert checked(one).ok


POWER = "dcounts_sum = -power * dcounts_sum_inv"
INVERSE = "counts_sum_inv = counts_sum**-1\nprobs = counts * counts_sum_inv"


def test_a_helper_is_no_step_of_the_forward_pass(tmp_path):
    """Be it like one: of a step that the notebook does not make, or makes otherwise."""
    power = "power = counts_sum**-2"
    alone = [f"{power}\n{atomic(counts_sum=POWER)}"]
    short = FORWARD.replace(INVERSE, "probs = counts / counts_sum")
    whole = [SETUP, short, atomic(counts_sum=f"{power}\n{POWER}")]
    assert short != FORWARD
    for cells in (alone, whole):
        one = read(tmp_path, cells)[1]
        assert "power = counts_sum ** (-2)" in one.text
        assert checked(one).ok


def test_comments_are_kept_and_cells_are_told(tmp_path):
    text = read(tmp_path, solved(1, "h", "# by shapes\ndh = dlogits @ W2.T"))[1].text
    assert "    # by shapes\n    dh = dlogits @ W2.T\n" in text
    assert "dprobs = 1.0 / probs * dlogprobs  # boosts the bad ones" in text
    assert "    # cell 3\n" in text
    assert "# [1, H] in the notebook, [H] here\n    dbngain = " in text


def test_one_array_of_two_names_is_told(tmp_path):
    """PyTorch would change both; the algebra is right, and so it is in JAX."""
    answer = notebooks.ATOMIC["hprebn"].replace(".clone()", "")
    one = read(tmp_path, solved(1, "hprebn", answer))[1]
    (remark,) = one.remarks
    assert "dhprebn and dbndiff are one array" in remark
    assert "cell 3, line 27" in remark
    assert checked(one).ok


def test_old_formats_are_read(tmp_path):
    notebook = nbformat.read(
        notebooks.written(tmp_path, solved(2, "logits", notebooks.ENTROPY)), 4
    )
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(nbformat.convert(notebook, 3)), encoding="utf-8-sig")
    assert [one.number for one in imported(path)] == [1, 2, 3]


R = {"kernelspec": {"language": "R"}}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("dlogits = 1", "breaks at line 1, column 1"),
        ('{"cells": [}', "breaks at line 1, column 12"),
        ("[" * 100_000, "is no notebook"),
        ("3", "no nbformat in it"),
        ('{"cells": []}', "no nbformat in it"),
        ('{"nbformat": 9, "cells": []}', "version 9"),
        ('{"nbformat": "x", "cells": []}', "version 'x'"),
        ('{"nbformat": 4}', "broken notebook"),
        ('{"nbformat": 4, "cells": 3}', "broken notebook"),
        ('{"nbformat": 4, "cells": [1, "x"]}', "broken notebook"),
        ('{"nbformat": 4, "cells": [{"source": 3}, {}]}', "another notebook"),
        (json.dumps({"nbformat": 4, "cells": [], "metadata": R}), "is in r, expected"),
        ('{"nbformat": 4, "cells": []}', "has 0"),
        (b"\xff\xfe\x00", "not UTF-8 at byte 0"),
        (None, "is not there"),
    ],
)
def test_what_is_no_notebook_of_the_lecture_is_one_line(tmp_path, text, what):
    path = tmp_path / "some.ipynb"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NotebookError) as error:
        imported(path)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_is_no_notebook(tmp_path):
    with pytest.raises(NotebookError, match="cannot be read"):
        imported(tmp_path)


def test_no_answers_and_another_notebook_are_told_apart(tmp_path):
    todo = "dlogprobs = None\ndlogits, dhprebn = None, ..."
    with pytest.raises(NotebookError, match="has no answers"):
        read(tmp_path, [SETUP, FORWARD, todo])
    with pytest.raises(NotebookError, match=r"another notebook.* this has 2"):
        read(tmp_path, ["import torch", "h = torch.tanh(x)\nloss = h.sum()"])
