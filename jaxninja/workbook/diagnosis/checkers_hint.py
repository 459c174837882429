"""The checker's hint in a learner's words: dh for the cotangent, @ for dot_general.

In other languages than English its words come from `texts`; a fact that has no word
there, and is no code, leaves the hint unsaid.
"""

import re
from dataclasses import dataclass
from typing import Any

from jaxninja.check.hints import TEMPLATES, Statement, Words
from jaxninja.check.hints import Hint as CheckersHint
from jaxninja.workbook.network import Sizes
from jaxninja.workbook.texts.en import checker as english
from jaxninja.workbook.texts.languages import current, listing, sentence
from jaxninja.workbook.texts.zh import checker as chinese

OTHERS = {"zh": chinese}
ENGLISH = {**TEMPLATES, **english.HINTS}
BY_LOSS = 'gradient * dy["loss"]'  # what is no line of the learner's


def in_our_words(hint: CheckersHint, upstream: set[str], here: Sizes) -> str:
    """A hint in the lecture's words; "" where the language has none for it.

    A number is named after no size: of one size alone 5/4 might be n/(n - 1), where n
    is 5. The number is what we know, and for which sizes. Operations are called what
    the learner writes, not what JAX calls them.
    """
    all_of_it = listing(f"d{name}" for name in sorted(upstream))
    zero = sentence("upstream is zero", upstream=all_of_it)
    words = Learners(
        all_of_it, all_of_it, zero, "", by_size=False, places=False, templates=_table()
    )
    try:
        text = words.text(_as_written(_located(hint)))
    except Unsaid:
        facts = dict(hint.statement.facts)
        return sentence("somewhere", **facts) if hint.statement.code == "where" else ""
    start = "" if hint.verified else sentence("looks like")
    end = sentence("here", sizes=here) if hint.statement.numbers() else ""
    return f"{start}{text}{end}"


def _located(hint: CheckersHint) -> Statement:
    """What it says; of an operation that cannot be quoted, whose gradient it is in."""
    facts = dict(hint.statement.facts)
    unknown = {*WRITTEN, "min", "max", "clamp", BY_LOSS}
    if facts.get("subject") in unknown and "leaves" in facts:
        facts["subject"] = f"d{facts['leaves'][0]}"
    return Statement(hint.statement.code, tuple(facts.items()))


def _table() -> dict[str, str]:
    other = OTHERS.get(current())
    return other.HINTS if other else ENGLISH


class Unsaid(Exception):
    """There is no word for a fact in the current language."""


@dataclass(frozen=True)
class Learners(Words):
    """A learner's words in the current language."""

    def word(self, text: str) -> str:
        other = OTHERS.get(current())
        known = other.WORDS if other else {}
        if other and text not in known and is_prose(text):
            raise Unsaid(text)
        return known.get(text, text)

    def template(self, code: str) -> str:
        unknown = code not in self.templates
        if current() in OTHERS and unknown and (code in TEMPLATES or is_prose(code)):
            raise Unsaid(code)
        return super().template(code)


def is_prose(text: str) -> bool:
    """Whether it is English, and no code: two words side by side."""
    return bool(re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text))


# JAX's names -> the learner's
WRITTEN = {
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_sum": "sum",
    "dot_general": "@",
    "integer_pow": "**",
    "pow": "**",
    "mul": "*",
    "div": "/",
    "add": "+",
    "sub": "-",
    "neg": "-",
    "transpose": ".T",
    "scatter-add": ".at[].add",
    "scatter": ".at[].set",
    "broadcast_in_dim": "broadcasting",
    "select_n": "where",
}


def _as_written(fact: Any) -> Any:
    """A statement with each operation as the learner writes it."""
    if isinstance(fact, Statement):
        facts = tuple((name, _as_written(value)) for name, value in fact.facts)
        return Statement(fact.code, facts)
    if not isinstance(fact, str):
        return fact
    return " ".join(WRITTEN.get(word, word) for word in fact.split(" "))
