"""Templates, hints and the progress file."""

import ast
import itertools
import json

import numpy as np
import pytest

from jaxninja.workbook import progress, samples, templates
from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.report import Report, Row
from jaxninja.workbook.solutions.lecture import NETWORK
from jaxninja.workbook.texts.languages import speaking

EVERY = [(n, name) for n, e in EXERCISES.items() for name in e.names]


@pytest.mark.parametrize("number", EXERCISES)
def test_a_template_is_the_solution_with_gaps(number):
    exercise = EXERCISES[number]
    text = templates.template(exercise)
    gapped = parse.read(text, exercise.file)
    solved = parse.read(exercise.solution, exercise.file)
    for name in exercise.names:
        assert gapped.is_gap(f"d{name}")
        assert len(gapped.assigning(f"d{name}")) == 1
        assert not solved.is_gap(f"d{name}")
        assert (exercise.time or exercise.network.node[name].time) in text
    assert gapped.parameters == solved.parameters
    returns = [ast.dump(s.function.body[-1]) for s in (gapped, solved)]
    assert returns[0] == returns[1]
    for told in ("rule:", "formula:", "why:", "+=", "softmax(l"):
        assert told not in text.split("def backward")[1]


@pytest.mark.parametrize(("number", "name"), EVERY)
def test_every_gradient_has_a_ladder(number, name):
    labels = [label for label, _ in templates.rungs(number, name)]
    middle = ["step"] * (len(labels) - 5)
    assert labels == ["shape", "rule", *middle, "formula", "one line", "solution"]
    count = len(labels)
    steps = [templates.hint(number, name, level) for level in range(1, count + 1)]
    for before, after in itertools.pairwise(steps):
        assert after.startswith(before)
        assert len(after) > len(before)
    code = templates.lessons(EXERCISES[number])[name].code[0]
    assert code.startswith(f"d{name} = ")
    assert code not in steps[-3]  # the formula is words, the code comes later
    assert code.split(" = ")[0] in steps[-2]
    told = " ".join(templates.explanation(number, name))
    assert len(told) > 20
    assert "See exercise" not in told


def test_a_hint_speaks_of_the_exercises_own_steps():
    first = templates.hint(1, "logits", 1)
    assert "logits is read twice: two branches" in first
    assert "comes from dlogit_maxes [n, 1]" in " ".join(first.split())
    assert "made of dhpreact [n, H]" in templates.hint(3, "hprebn", 1)
    stacked = " ".join(templates.hint(6, "h2", 1).split())
    assert "comes from dy [3, n, H], h1 [n, H] and h3 [n, H]" in stacked
    for number, name in ((2, "logits"), (3, "hprebn"), (4, "hprebn"), (4, "logits")):
        assert "is read" not in templates.hint(number, name, 1)
    assert "by logits = h @ W2 + b2: its branch" in templates.hint(4, "W2", 1)


def test_the_short_cuts_have_steps_on_paper_and_they_hold(x64):
    """dvar, dmean and their sum, as the hints of exercise 3 have them."""
    for number, name in ((2, "logits"), (3, "hprebn"), (4, "logits"), (4, "hprebn")):
        assert [label for label, _ in templates.rungs(number, name)].count("step") >= 3
    probe = samples.sample(NETWORK, NETWORK.tied, "float64", "hpreact")
    v, n = probe.values, probe.sizes["n"]
    dbnraw = v["bngain"] * probe.truth["hpreact"]
    dvar = -0.5 * v["bnvar_inv"] ** 2 * (dbnraw * v["bnraw"]).sum(0)
    dmean = -v["bnvar_inv"] * dbnraw.sum(0)
    found = v["bnvar_inv"] * dbnraw + dvar * 2 * v["bndiff"] / (n - 1) + dmean / n
    np.testing.assert_allclose(found, probe.truth["hprebn"], atol=1e-12)
    np.testing.assert_allclose(dvar, probe.truth["bnvar"][0][None], atol=1e-12)


def test_one_line_of_two_branches_says_that_it_is_one():
    for name in ("counts", "logits", "bndiff", "hprebn"):
        assert "a second line adds the other branch" in templates.hint(1, name, 4)
    assert "a second line" not in templates.hint(1, "h", 4)


def test_places_are_found_or_refused():
    assert templates.find("1.counts") == (1, "counts")
    assert templates.find("1.dcounts") == (1, "counts")
    for place, message in {
        "1.cuonts": "'cuonts', it asks for: logprobs, probs.*; did you mean 'counts'",
        "counts": "expected N.NAME",
        "99.h": "expected N.NAME",
        "2.h": "exercise 2 has no gradient 'h'",
    }.items():
        with pytest.raises(ValueError, match=message):
            templates.find(place)


def test_start_makes_all_files_and_keeps_what_is_there(tmp_path):
    folder = tmp_path / "mine"
    assert len(progress.start(folder)) == len(EXERCISES)
    (folder / "exercise2.py").write_text("mine")
    (folder / "exercise3.py").unlink()
    assert [path.name for path in progress.start(folder)] == ["exercise3.py"]
    assert (folder / "exercise2.py").read_text() == "mine"
    with pytest.raises(WorkbookError, match="is a file, expected a folder"):
        progress.start(folder / "exercise2.py")


def test_reset_keeps_what_was_written(tmp_path):
    progress.start(tmp_path)
    (tmp_path / "exercise2.py").write_text("mine")
    kept = progress.reset(tmp_path, 2)
    assert kept
    assert kept.read_text() == "mine"
    assert progress.read(tmp_path, 2) == templates.template(EXERCISES[2])
    assert progress.reset(tmp_path, 2) is None
    (tmp_path / "exercise2.py").write_text("again")
    assert progress.reset(tmp_path, 2) != kept


def test_progress_is_kept_and_new_rights_are_told_once(tmp_path):
    progress.start(tmp_path)
    state = progress.load(tmp_path)
    report = Report(1, "x", "wrong", (Row("logprobs", "ok"), Row("probs", "wrong")))
    assert state.record(report) == ["logprobs"]
    state.save()
    state = progress.load(tmp_path)
    assert state.record(report) == []
    assert state.right(1) == ["logprobs"]
    assert not state.is_done(1)
    assert [state.next_rung(1, "h") for _ in range(7)] == [1, 2, 3, 4, 5, 5, 5]
    done = Report(2, "x", "ok", (Row("logits", "ok"),))
    state.record(done)
    assert state.is_done(2)
    state.save()
    progress.reset(tmp_path, 2)
    assert not progress.load(tmp_path).is_done(2)


@pytest.mark.parametrize("text", ["", "[]", '{"done": 3}', '{"done": {"1": []}}'])
def test_an_unreadable_progress_file_is_told(tmp_path, text):
    progress.start(tmp_path)
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(WorkbookError, match="is not readable: delete it"):
        progress.load(tmp_path)
    (tmp_path / "progress.json").unlink()
    assert progress.load(tmp_path).right(1) == []


def test_a_new_folder_speaks_the_language_it_was_made_in(tmp_path):
    """As `jaxninja exercise import --lang zh` makes it."""
    with speaking("zh"):
        progress.start(tmp_path)
    progress.start(tmp_path)
    assert progress.load(tmp_path).language == "zh"
    progress.start(tmp_path, "en")
    assert progress.load(tmp_path).language == "en"


def test_the_progress_file_is_plain_json(tmp_path):
    progress.start(tmp_path)
    assert json.loads((tmp_path / "progress.json").read_text())["version"] == 1


def test_the_folder_is_here_or_in_workbook_or_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkbookError, match="`jaxninja exercise start workbook`"):
        progress.find(None)
    progress.start("workbook")
    assert progress.find(None).name == "workbook"
    monkeypatch.chdir("workbook")
    assert progress.find(None).resolve() == (tmp_path / "workbook").resolve()
    with pytest.raises(WorkbookError, match="no workbook in 'elsewhere'"):
        progress.find("elsewhere")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    progress.start(tmp_path)
    (tmp_path / "exercise1.py").write_bytes(b"x = '\xff'")
    with pytest.raises(WorkbookError, match="is not UTF-8 at byte 5"):
        progress.read(tmp_path, 1)
    (tmp_path / "exercise1.py").unlink()
    with pytest.raises(WorkbookError, match="is not there"):
        progress.read(tmp_path, 1)
