"""Why a gradient is wrong, as data, and the one place where that becomes English.

Whoever finds something states a code and facts: `say("ratio", leaf="x", factor=...)`.
`TEMPLATES` says what each code means in words; `Words` are the names that a reader has
for the cotangent and for numbers. Nothing reads the words back.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TEMPLATES = {
    # one leaf against the true gradients
    "nan": "d{leaf} is {what} where the true gradient is finite.",
    "straight": "d{leaf} is {dy}, as if the forward handed its input on; its true "
    "gradient is 0 everywhere. If that is on purpose, declare it by surrogate=.",
    "no gradient": "d{leaf} is not zero where the true gradient is 0 everywhere. If "
    "that is on purpose, declare it by surrogate=.",
    "zero": "d{leaf} is zero everywhere.",
    "swap": "d{leaf} is what d{other} should be.",
    "swap, both": "d{leaf} is what d{other} should be, and the other way round.",
    "swap, negated": "d{leaf} is minus what d{other} should be.",
    "sign": "d{leaf} has the wrong sign: it is minus the true gradient.",
    "ratio": "d{leaf} is the true gradient times {factor}.",
    "factor": "d{leaf} is the true gradient times {by}.",
    "borrowed": "d{leaf} is the gradient of {function}, as if {function} had made the "
    "output.",
    "ratio by size": "d{leaf} is the true gradient times {factor} here, and times "
    "{other} at other sizes.",
    "conjugate": "d{leaf} is the complex conjugate of the true gradient.",
    "transpose": "d{leaf} is transposed.",
    "transpose by": "d{leaf} is transposed by {axes}.",
    "shift": "d{leaf} is the true one shifted by {by} along axis {axis}.",
    "reverse": "d{leaf} is the true one reversed along axis {axis}.",
    "spread": "d{leaf} has the {what} over axis {axis} of the true one in each entry.",
    "offset": "d{leaf} is the true gradient plus {term}.",
    "precision": "d{leaf} is right to {dtype} precision only: something is rounded on "
    "the way.",
    "diagonal": "d{leaf} is the diagonal of the Jacobian times {dy}: it takes each "
    "output to depend on the one input beside it only.",
    # in some places only
    "entry": "d{leaf} {wrong} at one entry, {index}; all others are right.",
    "line": "d{leaf} {wrong} at index {index} of axis {axis}{last} only.",
    "where": "d{leaf} {wrong} exactly where {holds}.",
    "edge": "d{leaf} is right except where {argument} is 0.",
    # how the cotangent is used
    "ignored": "d{leaf} does not depend on {cotangent}: it is ignored.",
    "constant": "d{leaf} has a term independent of {cotangent}: {at_zero} {size}, not "
    "0.{rest}",
    "exact without": " Without that term it is exact.",
    "up to": "up to {size}",
    "nonlinear": "d{leaf} is wrong in how it uses {cotangent}: it is {what}.",
    "other cotangent": "{leaves}: the true gradient of {given}, not of {cotangent}.",
    # where a value arises
    "cast": "{leaves}: {spot} is rounded to {dtype}; exact without that cast.",
    "not finite": "{leaves:is|are} not finite: {spot}, {why}.",
    # what was left out of the derivation
    "no path": "{leaves:lacks|lack} the path through {spot}: the true gradient without "
    "it equals yours.",
    "no term": "{leaves:lacks|lack} a term of the derivative of {spot}: the true "
    "gradient without it equals yours.",
    "path, negated": "{leaves:has|have} the path through {spot} with the wrong sign: "
    "the true gradient with that change equals yours.",
    "path twice": "{leaves:has|have} the path through {spot} twice: the true gradient "
    "with that change equals yours.",
    "path times": "{leaves:has|have} {factor} times the path through {spot}: the true "
    "gradient with that change equals yours.",
    "no path, two": "{leaves:lacks|lack} two paths, through {spots}: the true gradient "
    "without both equals yours.",
    "and through": "{one} and through {other}",
    "derived": "{leaves:is|are} the true gradient with one change of its derivation, "
    "in the backward of {spot}: {edit}.",
    # residuals
    "residuals exchanged": "The residuals {one} and {other} are exchanged.",
    "residual shifted": "The residual {one} is shifted by {by} along axis {axis}.",
    "residual transposed": "The residual {one} is transposed.",
    # edits that mend it
    "mended": "{leaves:is|are} exact on a fresh sample after one edit, of {subject}: "
    "{edit}.",
    "mended, not at": "{leaves:is|are} exact on a fresh sample after one edit, of "
    "{subject}: {edit}; at {edges} something else is wrong as well.",
    "mended, too": "Another edit after which {leaves:is|are} exact too.",
    "mended by two": "{leaves}: exact on a fresh sample after two edits: {first}; and "
    "{second}.",
    "both": "{first}; {second}",
    "edit": "{at}{subject}: {edit}",
    "at line": "{place}: ",
    "leave out": "leave out {what}",
    "instead": "{new} in place of {old}",
    "another": "another {old} in its place",
    "exponent": "exponent {to}",
    "exchange operands": "exchange the operands of {what}",
    "exchange branches": "exchange the branches of where",
    "transpose operand": "transpose {what}",
    "shift it": "shift it by {by} along axis {axis}",
    "conjugate it": "conjugate it",
    "negate it": "negate it",
    "multiply": "multiply by {by}",
    "multiply operand": "multiply {what} by {by}",
    "divide": "divide by {by}",
    "add": "add {times}{what}",
    "subtract": "subtract {times}{what}",
    "times": "{factor} * ",
    "other axis": "sum over axis {axis}, not {old}",
    "other axes": "{what} over {axes}, not over {old}",
    # another forward, whose gradient the user's is
    "nearby": "{leaves:is|are} the gradient of another forward, yours with one change "
    "in {subject}: {edit}{edges}.",
    "but at": "; not so at {edges}",
    "other order": "{one} before {other}",
    "outside root": "epsilon added to the root, not under it",
    "other direction": "{what} in the other direction",
    "without own": "{what} without the entry itself",
    "summed over turns": "sum it over the turns of the loop",
    "per group": "{what} over the entries of equal {by}, not over all",
    "reverse order": "{what} in reverse order",
    "every nth": "every {n}th entry of it, not the first ones",
    "along axis": "{what} along axis {axis}, not {old}",
    "constant value": "{what} taken for constant",
    "constant there": "{what} taken for constant there",
    "triangle": "the {what} triangle of it only (diagonal {k}), else {fill}",
    "move in": "shift it by {by} along axis {axis}, {filled} moved in",
    "pairs for halves": "pairs for halves of an axis",
    "regrouped": "the two axes that are one the other way round",
}


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
        return text

    def _number(self, number: Number) -> str:
        value, name = f"{number.value:.6g}", number.name
        if name is None or not (number.plain or self.by_size):
            return value
        term, comma, of = name.partition(", ")  # "n/(n-1), n = x.shape[0]"
        return name if number.plain else f"{term} = {value}{comma}{of}"


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
        change: the edit that mends it, where there is one.
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
        """The change that mends it, in words."""
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
