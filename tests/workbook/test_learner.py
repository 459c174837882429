"""What becomes of a workbook in time."""

import html

import pytest

from jaxninja.workbook import progress, templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.learner import again, finished
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.texts.languages import speaking
from tests.workbook.bank import TOGETHER, answered


@pytest.fixture
def solved(tmp_path):
    """A folder whose exercise 1 is right."""

    def made(text):
        progress.start(tmp_path)
        (tmp_path / "exercise1.py").write_text(text)
        state = progress.load(tmp_path)
        for k, name in enumerate(EXERCISES[1].names):
            state.entry(1, name).update(status="ok", since=10 * k)
        state.save()
        return tmp_path

    return made


def test_both_branches_become_one_gap(solved):
    folder = solved(EXERCISES[1].solution)
    kept = again.blank(folder, 1, "counts")
    assert kept.read_text() == EXERCISES[1].solution
    lines = progress.read(folder, 1).splitlines()
    assert [line for line in lines if "dcounts =" in line] == ["    dcounts = None"]
    assert len(lines) == len(EXERCISES[1].solution.splitlines()) - 1
    with pytest.raises(WorkbookError, match=r"1\.counts is not right yet"):
        again.blank(folder, 1, "counts")


def test_lines_that_make_others_too_are_left_alone(solved):
    folder = solved(answered(1, **TOGETHER))
    with pytest.raises(WorkbookError, match="the lines of dbngain make dbnbias too"):
        again.blank(folder, 1, "bngain")
    assert progress.read(folder, 1) == answered(1, **TOGETHER)


def test_what_was_right_first_is_due_first(solved):
    state = progress.load(solved(EXERCISES[1].solution))
    assert again.due(state) == (1, EXERCISES[1].names[0])
    assert again.oldest(progress.Progress(state.folder, {})) is None


def test_the_page_has_each_lesson_as_it_is(solved):
    folder = solved(EXERCISES[1].solution)
    with speaking("zh"):
        text = html.unescape(finished.page(folder))
        assert "逐节点的计算图" in text
        for name in EXERCISES[1].names:
            assert templates.why(1, name) in text
