"""Each exercise says in Chinese what it says in English."""

import ast
import re

import pytest

from jaxninja.workbook import templates
from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.texts.languages import speaking
from jaxninja.workbook.texts.wrapping import columns
from jaxninja.workbook.texts.zh.exercises import HEADS, LESSONS, TITLES
from tests.workbook.texts.chinese import has_chinese


def named(exercise, text: str) -> set[str]:
    """The arrays, and the gradients, that a text names, but for single letters."""
    names = {n for k in exercise.network.node for n in (k, f"d{k}") if len(n) > 2}
    return names & {*re.findall(r"\w+", text, re.ASCII)}


def signs(*texts: str) -> list[str]:
    """The operators and the numbers of formulas."""
    return sorted(re.findall(r"[-+*/@^=]|\b\d[\d.]*\b", " ".join(texts), re.ASCII))


def lesson_differs(number: int, name: str, other: dict) -> list[str]:
    """The parts of a lesson that say something else than the English ones."""
    lesson, exercise = templates.lessons(EXERCISES[number])[name], EXERCISES[number]
    parts = {"rule": lesson.rule, "formula": lesson.formula, "why": lesson.why}
    found = [k for k in ("rule", "formula", "why") if not other.get(k)]
    found += [] if len(other.get("steps", ())) == len(lesson.steps) else ["steps"]
    if named(exercise, lesson.formula) != named(exercise, other.get("formula", "")):
        found.append("names")
    if signs(lesson.formula, *lesson.steps) != signs(
        other.get("formula", ""), *other.get("steps", ())
    ):
        found.append("signs")
    for part, text in parts.items():
        refers = re.findall(r"[Ee]xercise (\d)", text)
        if refers != re.findall(r"练习 (\d)", other.get(part, "")):
            found.append(part)
    return found


def test_every_exercise_is_translated():
    assert EXERCISES.keys() == HEADS.keys() == TITLES.keys() == LESSONS.keys()


@pytest.mark.parametrize("number", EXERCISES)
def test_every_lesson_is_translated(number):
    exercise = EXERCISES[number]
    assert LESSONS[number].keys() == {*exercise.names}
    for name in exercise.names:
        other = LESSONS[number][name]
        assert lesson_differs(number, name, other) == [], name
    assert lesson_differs(number, name, {**other, "why": ""}) != []
    assert lesson_differs(number, name, {**other, "formula": "见练习 9"}) != []
    assert "steps" in lesson_differs(number, name, {**other, "steps": ("多",) * 9})
    twice = f"2 * {other['formula']}"
    assert lesson_differs(number, name, {**other, "formula": twice}) == ["signs"]


@pytest.mark.parametrize("number", EXERCISES)
def test_a_file_in_chinese_is_the_same_file(number):
    exercise = EXERCISES[number]
    plain = templates.template(exercise)
    with speaking("zh"):
        text = templates.template(exercise)
        assert has_chinese(templates.title(exercise))
    trees = [ast.parse(one) for one in (plain, text)]
    heads = [ast.get_docstring(tree) or "" for tree in trees]
    codes = ["\n".join(map(ast.unparse, tree.body[1:])) for tree in trees]
    assert codes[0] == codes[1]
    assert has_chinese(heads[1])
    times = [re.findall(r"\d:\d\d:\d\d", one) for one in (plain, text)]
    assert times[0] == times[1]
    examples = [[r for r in head.splitlines() if r[:4] == "    "] for head in heads]
    for one, other in zip(*examples, strict=True):
        assert columns(other) == len(one) or "  [" not in one  # shapes below each other
    assert parse.read(text, exercise.file).is_gap(exercise.gradients[0])


def test_the_ladder_is_in_chinese_throughout():
    with speaking("zh"):
        for number in EXERCISES:
            for name in EXERCISES[number].names:
                for label, text in templates.rungs(number, name):
                    assert has_chinese(label)
                    said = has_chinese(text) or text.endswith("。")
                    assert said or label == "一行", name
        assert "再次运行" in templates.ladder(1, "counts", 1)
        assert templates.ladder(4, "logits", 5).count("步骤") == 3  # exercise 2's
