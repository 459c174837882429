"""Each language says all that the other says, of the same things."""

import ast
import re
import string
from pathlib import Path

import pytest

import jaxninja
from jaxninja.check import hints as checkers
from jaxninja.errors import ArgumentError
from jaxninja.workbook import hints
from jaxninja.workbook.diagnosis import leftovers
from jaxninja.workbook.diagnosis.checkers_hint import in_our_words, is_prose
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.texts.languages import SENTENCES, phrase, sentence, speaking
from jaxninja.workbook.texts.wrapping import (
    CLOSING,
    columns,
    padded,
    unspaced,
    wrapped,
)
from jaxninja.workbook.texts.zh import hints as chinese_hints
from jaxninja.workbook.texts.zh.checker import HINTS as CHINESE
from jaxninja.workbook.texts.zh.sentences import PHRASES
from tests.workbook.bank import answered
from tests.workbook.texts.chinese import has_chinese


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    """Keys that only one has, or that are about different facts."""
    both = one.keys() & other.keys()
    return (one.keys() ^ other.keys()) | {
        k for k in both if places(one[k]) != places(other[k])
    }


TABLES = [
    (SENTENCES["en"], SENTENCES["zh"]),
    (hints.TEMPLATES, chinese_hints.HINTS),
]


@pytest.mark.parametrize(("one", "other"), TABLES)
def test_the_languages_have_the_same_keys_and_facts(one, other):
    assert differing(one, other) == set()
    key = next(k for k in one if places(one[k]))
    assert differing(one, {**other, key: "没有"}) == {key}
    assert differing(one, {k: v for k, v in other.items() if k != key}) == {key}
    assert differing(one, {**other, "new": ""}) == {"new"}


def test_every_sentence_is_in_its_language():
    for one, other in TABLES:
        same = {k for k in other if not has_chinese(other[k])}
        assert not any(has_chinese(text) for text in one.values())
        # these have no words
        assert same <= {
            *("index", "of", "branches 0", "task", "checker", "comma", "semicolon"),
            "cost 0",
        }, same


def test_a_report_is_in_the_language_that_was_asked_for():
    text = EXERCISES[2].solution.replace(" / n", "")
    report = check(2, text, "exercise2.py", language="zh")
    table = report.table()
    assert "dlogits：缺少因子 1/n。" in table
    assert "dlogits 本身是错的" in table
    assert "相对误差" in table
    assert "`jaxninja exercise hint 2.logits` 会给出提示" in table
    words = ("wrong", "right", "missing", "helps", "error", "identical", "rounding")
    assert not any(word in table for word in words), table
    assert type(report).from_json(report.to_json()).table() == table
    gap = check(2, "def backward(logits, Yb, n):\n    dlogits = None\n", "x.py")
    assert "dlogits is still None" in gap.table()


def test_words_on_what_is_pytorchs_are_translated():
    tables = (leftovers.METHODS, leftovers.FIELDS, leftovers.KEYWORDS)
    for text in [v for t in (*tables, leftovers.LIBRARIES) for v in t.values()]:
        try:
            ast.parse(text)  # is code in all languages
        except SyntaxError:
            with speaking("zh"):
                assert phrase(text) != text
    for network in {e.network.whose for e in EXERCISES.values()}:
        with speaking("zh"):
            assert has_chinese(phrase(network))


def test_there_is_no_third_language():
    told = r"'fr': expected en \(English\) or zh"
    with pytest.raises(ArgumentError, match=told), speaking("fr"):
        pass
    with speaking("zh"), speaking("en"):
        assert sentence("finished") == "done"


def test_lines_are_as_wide_as_they_look():
    text = "从 dhpreact 中减去它的均值，以及它沿 bnraw 方向的分量；a * (b + c)。"
    for width in (16, 21, 30):
        lines = wrapped(text, width, "  ")
        assert len(lines) > 2
        for line in lines:
            assert columns(line) <= width + 1  # a stop may stand at the very end
            assert line.strip()[0] not in CLOSING
        assert "".join(text.split()) == "".join("".join(lines).split())
        for word in ("dhpreact", "bnraw"):
            assert sum(word in line for line in lines) == 1
    assert wrapped("one two", 5) == ["one", "two"]
    assert columns(padded("形状", 9)) == 9


def test_the_checkers_hints_are_translated():
    """All that the checker can say, and what it says of mistakes nobody has met."""
    assert checkers.TEMPLATES.keys() <= CHINESE.keys()
    both = checkers.TEMPLATES.keys() & CHINESE.keys()
    one, other = ({k: t[k] for k in both} for t in (checkers.TEMPLATES, CHINESE))
    assert differing(one, other) == set()
    assert len(both) > 80
    changes = ("jnp.sin({})", "{}[::-1]", "jnp.roll({}, 1, 0)", "{} * ({} > 0)")
    for change in changes:
        text = EXERCISES[1].solution.replace(
            line := "    dW2 = h.T @ dlogits\n",
            f"{line}    dW2 = {change.format('dW2', 'dW2')}\n",
        )
        hints = [str(h) for h in check(1, text, "exercise1.py", language="zh").hints]
        assert len(hints) == 1
        assert has_chinese(hints[0])
        assert not is_prose(hints[0]), hints


def test_chinese_words_stand_without_spaces():
    with speaking("zh"):
        assert sentence("too long", what="这一行", limit=5).startswith("这一行运行超过")
        assert sentence("too long", what="dh", limit=5).startswith("dh 运行超过")
        assert unspaced(sentence("keys")) == sentence("keys")
    report = check(2, answered(2, logits="print(1 / 0)"), "x.py", language="zh")
    assert report.message.startswith("这一行引发了 ZeroDivisionError")


def test_the_names_of_arrays_are_no_words():
    """Exercise 5 has an array `mean`."""
    facts = dict(name="mean", new="mean", old="sum")
    with speaking("zh"):
        assert str(hints.say("value", **facts)) == "dmean：该用 sum 的地方用了 mean。"
        over = hints.say("other axis", name="mean", kind="mean", other=1, axis=2)
        assert str(over) == "dmean：求平均沿的是轴 1，应当沿轴 2。"


def test_a_hint_in_chinese_has_spaces_beside_latin_words_only():
    onehot = hints.say("not subtracted", name="h", what="the one-hot of the targets")
    ours = [("does not follow", "讲座的 loss"), ("loss only", "练习的 dy")]
    with speaking("zh"):
        assert "没有减去目标的 one-hot：" in str(onehot)
        for code, above in ours:
            told = str(hints.say(code, name="h", above=above, sources="dy", error="1"))
            assert f"对{above} 是对的" in told
        transposed = hints.say("checker", text="它是 dy 的转置 的真实梯度")
        assert str(transposed) == "它是 dy 的转置的真实梯度。"


def test_the_line_of_a_wrong_shape_is_in_chinese_too():
    report = check(2, answered(2, logits="dlogits = logits[0]"), "x.py", language="zh")
    assert "| 形状 (27,)，应为 (32, 27)" in report.table()
    assert "expected" not in report.table()
    report = check(2, answered(2, logits="dlogits = logits / 0"), "x.py", language="zh")
    assert "| 不是有限值" in report.table()


def test_two_sizes_are_told_with_chinese_signs():
    code = "(jax.nn.softmax(logits, 1) - jax.nn.one_hot(Yb, 27)) / 32"
    report = check(2, answered(2, logits=f"dlogits = {code}"), "x.py", language="zh")
    (hint,) = map(str, report.hints)
    assert "；" in hint
    assert ";" not in hint


def test_a_hint_for_which_there_is_no_word_is_not_said():
    where = checkers.say("where", leaf="h", wrong="is zero", holds="the sun is shining")
    nowhere = checkers.say("nonlinear", leaf="h", what="what nobody has said yet")
    said = [checkers.Hint(statement, "", True, "h") for statement in (where, nowhere)]
    with speaking("zh"):
        texts = [in_our_words(hint, {"h"}, EXERCISES[1].network.pair) for hint in said]
    assert texts == ["dh 只有一部分元素是错的，其余都正确。", ""]
    assert "sun is shining" in in_our_words(said[0], {"h"}, EXERCISES[1].network.pair)


WORDS = {*("the", "is", "are", "of", "to", "not", "it", "and", "with", "this", "has")}
ENGLISH = ("pages.py", "bessel.py", "hints.py", "options.py")  # a notebook; a table


def prose(text: str) -> list[str]:
    """The strings of a file that are sentences, and no key of one."""
    tree = ast.parse(text)
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    found = [n.value for n in strings if id(n) not in docs and type(n.value) is str]
    keys = SENTENCES["en"].keys() | hints.TEMPLATES.keys() | PHRASES.keys()
    words = {
        t: re.findall(r"(?<![\w.])[a-z]+(?![\w.])", t) for t in found if t not in keys
    }
    return [t for t, w in words.items() if len(w) > 1 and WORDS & {*w} and "<" not in t]


def test_no_sentence_bypasses_the_texts():
    root = Path(jaxninja.__file__).parent
    files = [*(root / "workbook").rglob("*.py"), *(root / "cli/workbook").glob("*.py")]
    files += [root / "cli/exercise.py"]
    mine = [p for p in files if not {"texts", "solutions"} & {*p.parts}]
    for path in (p for p in mine if p.name not in ENGLISH):
        assert prose(path.read_text(encoding="utf-8")) == [], path
    assert prose("raise X(f'{path} is not there')") == [" is not there"]
    assert prose("'''The docstring is free.'''\nsentence('near wrong for')") == []


REFUSED = {
    "autodiff": ("dlogits = jax.grad(lambda x: x.sum())(logits)", "用了自动微分"),
    "import": ("import torch\ndlogits = logits", "这里导入了 torch"),
    "call": ("dlogits = eval('logits')", "eval() 运行的是一段文本"),
    "raises": ("dlogits = logits @ logits", "引发了 TypeError"),
    "name": ("dlogits = logit", "没有定义"),
    "exit": ("import sys\ndlogits = sys.exit()", "会结束 Python"),
    "ready": ("dlogits = jax.pure_callback(lambda x: x, logits, logits)", "回调函数"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_refused_in_chinese(kind):
    code, told = REFUSED[kind]
    table = check(2, answered(2, logits=code), "exercise2.py", language="zh").table()
    assert told in table
    pythons = r"TypeError：.*|NameError：.*|`.*?`|.*\|.*"  # what Python says, and code
    assert not is_prose(re.sub(pythons, "", table)), table
