"""Sentences of a derivation as HTML, with the formulas in them set as mathematics.

A formula is as long a run of operands as there is: symbols, numbers and what stands in
brackets of these, with signs between them or beside each other. A word ends it.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from jaxninja.book import frame
from jaxninja.book.mathematics import mathml
from jaxninja.book.mathematics.notation import OPEN, NotMathematics

CODE = re.compile(r"(`[^`]+`|\w*(?:<\w+>)+)")  # also d<name>
NAME = re.compile(r"[A-Za-z]\w*(?:'(?!s\b))*(?:\.T\b)?")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e\d+)?(?![\w%])")
SIGN = re.compile(r" (?:<=|>=|->|\+-|[-=<>+/*.×@]) |/")
RELATIONS = {" = ", " < ", " > ", " <= ", " >= ", " -> "}
VALUE = re.compile(r"(?:[01]|-?inf|-[\d.]+)")  # after a relation, all of its side
TIMES = re.compile(r"(?<=[A-Z\d]) x (?=[A-Z\d]\b)")  # T x S numbers
PUNCTUATION = re.compile(r"[.,;:)]+(?=\s|$)")
LETTER = re.compile(r"d?[a-z]\d?|d?[A-Z]")
SYMBOLS = {*mathml.GREEK, *mathml.HATS, "lse", "rstd", "dloss", "dlogits", "demb"}
SYMBOLS |= {f"d{name}" for name in SYMBOLS} | {"dbias", "dlog_p", "dlog_q", "onehot"}
# Functions and names that are words too: in a formula only beside a sign.
WORDS = {"exp", "max", "sum", "mean", "tanh", "sqrt", "softmax", "softplus", "sigmoid"}
WORDS |= {"gelu", "silu", "diag", "sign", "round", "stop_gradient", "tr", "ddof"}
WORDS |= {"ids", "size", "stride", "groups", "rate", "keep", "gate", "up", "bias"}
WORDS |= {"cap", "scale", "offset", "layers", "bngain", "dbngain"}
AFTER_A_NAME = re.compile(r"[,.;:)|/^]| (?:and|alone|is|has|to|being|of the|$)")


class Operand(NamedTuple):
    """One operand of a formula, and where it ends in the text."""

    end: int
    kind: str  # number, word, function, or symbol: also what has an index or brackets


def html(text: str, known: str = "") -> str:
    """A paragraph, escaped; what stands in backticks is code.

    Args:
        text: on one line.
        known: the equations beside it; a name with an index, and `a`, are symbols
            where they are in there.
    """
    names = {*NAME.findall(known)}
    parts = CODE.split(text)
    parts[::2] = ["".join(_set(TIMES.sub(" × ", part), names)) for part in parts[::2]]
    parts[1::2] = [frame.sentence(f"`{part.strip('`')}`") for part in parts[1::2]]
    return "".join(parts)


def _set(text: str, known: set[str]) -> Iterator[str]:
    """The text in pieces, as HTML."""
    done = at = 0
    while at < len(text):
        begins = not at or not (text[at - 1].isalnum() or text[at - 1] in "'_.-^")
        end = _formula(text, at, known) if begins else None
        try:
            formula = mathml.line(text[at:end], inline=True) if end else ""
        except NotMathematics:
            formula = ""
        if not end or not formula:
            at += 1
            continue
        yield escape(text[done:at], quote=False)
        close = PUNCTUATION.match(text, end)  # never alone on a line
        yield f'<span class="joined">{formula}{close[0]}</span>' if close else formula
        done = at = close.end() if close else end
    yield escape(text[done:], quote=False)


def _formula(text: str, at: int, known: set[str]) -> int | None:
    """Where the longest formula that begins here ends, if one does."""
    found: list[Operand] = []
    signs: list[str] = []
    begin, sign = at, ""
    while operand := _operand(text, begin, known, sign):
        found.append(operand)
        signs.append(sign)
        after = SIGN.match(text, operand.end)
        alone = sign in {*RELATIONS, ""} and VALUE.fullmatch(text[begin : operand.end])
        if not after and (alone or text[operand.end : operand.end + 1] != " "):
            break
        sign = after[0] if after else " "
        begin = operand.end + len(sign)
    return _end(found, signs)


def _end(found: list[Operand], signs: list[str]) -> int | None:
    """The same, of operands and the sign before each: without words and numbers at the
    end that no sign holds; there must be a sign or a symbol."""
    while found and signs[-1] in (" ", "") and not _holds(found):
        found, signs = found[:-1], signs[:-1]
    if not found:
        return None
    kinds = {operand.kind for operand in found}
    words = kinds == {"function"} or ("word" in kinds and "function" not in kinds)
    if {*signs} <= {"", " "} and words:
        return None
    return found[-1].end


def _holds(found: list[Operand]) -> bool:
    """Whether the last operand belongs to the formula, with only a space before it."""
    before = found[-2].kind if len(found) > 1 else ""
    held = {"symbol": True, "number": before == "function", "word": before == "word"}
    return held.get(found[-1].kind, False)


def _operand(text: str, at: int, known: set[str], sign: str = "") -> Operand | None:
    """With a sign before it, an index, a power or arguments after it."""
    start = at + len(re.match(r"\+-|-|", text[at:])[0])  # type: ignore[index]
    found = _atom(text, start, known, sign)
    while found and (after := text[found.end : found.end + 1]):
        if after == "^" and (power := _operand(text, found.end + 1, known, "^")):
            found = Operand(power.end, "symbol")
        elif after in "[(" and (end := _closing(text, found.end, known, "index")):
            found = Operand(end, "symbol")
        else:
            break
    if found and re.match(r"\w|'(?!s\b)|-\w|\[|\.\w", text[found.end :]):
        return None  # x-axis, rows' maxima, rows.py
    return found


def _atom(text: str, at: int, known: set[str], sign: str) -> Operand | None:
    if text[at : at + 1] in ("(", "[", "|"):
        end = _closing(text, at, known, sign)
        return Operand(end, "symbol") if end else None
    if number := NUMBER.match(text, at):
        return Operand(number.end(), "number")
    name = NAME.match(text, at)
    if not name or (sign in ("", " ") and _is_article(text, name, known)):
        return None
    if _is_symbol(name[0], known):
        return Operand(name.end(), "symbol")
    if name[0] == "log":
        return Operand(name.end(), "function")
    word = name[0] in WORDS or "_" in name[0] or text[name.end() :][:1] == "["
    return Operand(name.end(), "word") if word else None


def _is_symbol(name: str, known: set[str]) -> bool:
    bare = name.removesuffix(".T").rstrip("'")
    summed = re.fullmatch(r"(?:sum|max|prod)_\w+", name)
    indexed = re.fullmatch(r"[A-Za-z]_\w+|W[a-z]", bare) and bare in known
    letter = LETTER.fullmatch(bare) and bare != "do"
    slope = bare in WORDS and bare != name
    return bool(letter or bare in SYMBOLS or summed or indexed or slope)


def _is_article(text: str, name: re.Match[str], known: set[str]) -> bool:
    """Whether `a` or `A` stands before a word, and is no name."""
    if name[0] not in ("a", "A") or SIGN.match(text, name.end()):
        return False
    if name[0] not in known:
        return True
    following = _operand(text, name.end() + 1, known, "+")
    factor = bool(following) and following.kind == "symbol"
    return not (factor or AFTER_A_NAME.match(text[name.end() :] + " "))


def _closing(text: str, at: int, known: set[str], sign: str) -> int | None:
    """The end of the brackets that open here, if what is in them is a formula."""
    end = text.find("|", at + 1) + 1 if text[at] == "|" else _matching(text, at)
    if not end:
        return None
    if sign == "/" or sign == " / ":
        return end
    inside = text[at + 1 : end - 1]
    names = NAME.findall(inside)
    symbols = [name for name in names if _is_symbol(name, known)]
    index = sign == "index" and text[at] == "[" and len(names) == 1
    all_known = all(n in symbols or n in WORDS or n in ("log", "new") for n in names)
    return end if index or (all_known and (symbols or sign in ("index", "^"))) else None


def _matching(text: str, at: int) -> int | None:
    """The place after the bracket that closes the one here."""
    waiting: list[str] = []
    for place in range(at, len(text)):
        if text[place] in OPEN:
            waiting.append(OPEN[text[place]])
        elif text[place] in OPEN.values() and text[place] != waiting.pop():
            return None
        if not waiting:
            return place + 1
    return None
