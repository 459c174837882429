"""Why a gradient is wrong, as data, and the one place where that becomes English.

Whoever finds something states a code and facts: `say("ratio", leaf="x", factor=...)`.
`TEMPLATES` says what each code means in words; `Words` are the names that a reader has
for the cotangent and for numbers. Nothing reads the words back.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxninja.check.hint_texts import TEMPLATES


class Place(NamedTuple):
    """A line of a file, and the expression on it if that is known."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"

    @property
    def quoted(self) -> str:
        text = f"`{self.text}`"
        return f"{text} ({self})" if self.text else str(self)


@dataclass(frozen=True)
class Number:
    """A constant to six digits, and what it looks like: "n/(n-1), n = x.shape[0]"."""

    value: Any
    name: str | None = None
    sure: bool = False  # it has followed the sizes that it is named by

    @classmethod
    def of(cls, value, name: str | None = None) -> "Number":
        return cls(type(value)(f"{value:.6g}"), name)

    @property
    def plain(self) -> bool:
        """Whether the name is the number itself: -1, 2, 3/2."""
        return self.name is not None and (
            self.name.lstrip("-").replace("/", "").isdigit()
        )


@dataclass(frozen=True)
class Statement:
    """A code of `TEMPLATES`, and what fills its places: names, numbers, statements.

    A code that is not there is its own template: a formula, such as "max({dy}, 0)".
    """

    code: str
    facts: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return dict(self.facts)[name]

    def numbers(self) -> list[Number]:
        """All that it names, within its parts too."""
        found = []
        for _, fact in self.facts:
            found += [fact] if isinstance(fact, Number) else []
            found += fact.numbers() if isinstance(fact, Statement) else []
        return found


def say(code: str, **facts: Any) -> Statement:
    """A statement; the tuple of a fact `leaves` holds names of gradients."""
    return Statement(code, tuple(facts.items()))


@dataclass(frozen=True)
class Words:
    """What a reader calls things, and `text`, which makes sentences of statements.

    Attributes:
        dy, cotangent: the cotangent in a formula and in a sentence.
        at_zero: begins what comes of a cotangent of zero.
        nowhere: stands before an edit whose line is not known.
        by_size: whether a number is named by the axis whose length it looks like.
        places: whether a quotation is followed by its file and line.
        templates: what each code means.
    """

    dy: str = "dy"
    cotangent: str = "the cotangent dy"
    at_zero: str = "bwd(0) is"
    nowhere: str = "bwd: "
    by_size: bool = True
    places: bool = True
    templates: Mapping[str, str] = field(default_factory=lambda: TEMPLATES)

    def text(self, fact: Any) -> Any:
        """A statement, a number, a place or a leaf as text."""
        match fact:
            case Statement(code, facts):
                said = {name: self.text(value) for name, value in facts}
                return self.template(code).format_map({**vars(self), **said})
            case Number():
                return self._number(fact)
            case Place():
                return fact.quoted if self.places or not fact.text else f"`{fact.text}`"
            case tuple():
                return _Leaves(fact)
            case None:
                return self.nowhere
            case str():
                return self.word(fact)
        return fact

    def template(self, code: str) -> str:
        return self.templates.get(code, code)

    def word(self, text: str) -> str:
        """A fact that is a name, code, or a few words."""
        return as_written(text)

    def _number(self, number: Number) -> str:
        value, name = f"{number.value:.6g}", number.name
        if name is None or not (number.plain or self.by_size):
            return value
        term, comma, of = name.partition(", ")  # "n/(n-1), n = x.shape[0]"
        return name if number.plain else f"{term} = {value}{comma}{of}"


# JAX's names of operations -> what is written for them, by itself or in a line
BY_ITSELF = {
    "select_n": "where", "integer_pow": "the power", "dot_general": "@",
    "reduce_sum": "the sum", "reduce_max": "the maximum", "reduce_min": "the minimum",
    "dynamic_slice": "the slice", "dynamic_update_slice": "the update",
    "broadcast_in_dim": "the broadcast", "custom_linear_solve": "the solution",
}  # fmt: skip
IN_A_LINE = {
    "select_n": ["where"], "integer_pow": ["**"], "pow": ["**"], "mul": ["*"],
    "div": ["/"], "add": ["+"], "sub": ["-"], "neg": ["-"], "rev": ["::-1", "flip"],
    "dot_general": ["@", "einsum", "dot"], "reduce_sum": ["sum"],
    "reduce_max": ["max"], "reduce_min": ["min"], "transpose": ["transpose", ".T"],
    "scatter-add": [".add"], "scatter": [".set"], "logistic": ["sigmoid"],
}  # fmt: skip
_PLACED = re.compile(r"([a-z][\w-]*) in (`[^`]*`|\S+:\d+)")
_ALONE = re.compile(rf"(?<![\w.])({'|'.join(BY_ITSELF)})(?!\w)")


def as_written(text: str) -> str:
    """A name or piece of code without JAX's names of operations: what is written there
    in their place, if that is known."""

    def placed(found: re.Match) -> str:
        name, line = found.groups()
        words = [w for w in (*IN_A_LINE.get(name, ()), name) if w in line]
        return f"{words[0] if line[0] == '`' and words else 'a value'} in {line}"

    text = _PLACED.sub(placed, text)
    return _ALONE.sub(lambda found: BY_ITSELF[found[1]], text)


class _Leaves(tuple):
    """Gradients in a sentence: "dx", "dx and dw are" by the format "is|are"."""

    def __format__(self, verbs: str) -> str:
        text = listed([f"d{name}" for name in self])
        one, _, many = verbs.partition("|")
        return f"{text} {many if len(self) > 1 else one}".rstrip()


def listed(names: list[str]) -> str:
    """ "dx", "dx and dw", "dx, dw and db"."""
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])


@dataclass(frozen=True)
class Hint:
    """An explanation of one wrong leaf.

    Attributes:
        statement: what is wrong, by code and facts.
        kind: class of the bug, for counting: "cotangent", "ratio", "swap", ...
        verified: re-evaluated on a sample it was not found on; else "looks like".
        leaf: name of the wrong leaf it explains.
        where: "file:line" in the user's code, where it is known.
        change: the edit that fixes it, where there is one.
    """

    statement: Statement
    kind: str
    verified: bool
    leaf: str
    where: str | None = None
    change: Statement | None = None

    @property
    def sentence(self) -> str:
        """What is wrong, in words a reader can act on."""
        return Words().text(self.statement)

    @property
    def edit(self) -> str | None:
        """The change that fixes it, in words."""
        return None if self.change is None else Words().text(self.change)

    def __str__(self) -> str:
        start = "Hint" if self.verified else "Looks like"
        where = f"   ({self.where})" if self.where else ""
        return f"{start} [{self.leaf}]: {self.sentence}{where}"

    def lines(self) -> list[str]:
        """The hint as lines of a report."""
        return [f"  {self}", *([f"        {self.edit}"] if self.edit else [])]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: in words."""
        names = ("sentence", "kind", "verified", "where", "edit", "leaf")
        return {name: getattr(self, name) for name in names}
