"""Derivations as mathematics: nothing of the file's text is lost, moved or added."""

import inspect
import re
from xml.etree import ElementTree

import pytest

from jaxninja.book.mathematics import derivation, mathml
from jaxninja.book.mathematics.mathml import GREEK, HATS, SIGNS, SUMS
from jaxninja.book.mathematics.notation import NotMathematics, parse
from jaxninja.book.rule_pages import module_of
from jaxninja.rules import RULES

SET = {symbol: name for name, symbol in (*GREEK.items(), *SIGNS.items())}
SET |= {symbol: name.rstrip("_") for name, symbol in SUMS.items()} | {"·": "."}


def shape(text):
    """The elements of a line, as nested text: msup(x, 2)."""

    def show(element):
        parts = [element.text or ""] if not len(element) else map(show, element)
        parts = [part for part in parts if part]
        inner = ",".join(parts)
        return (
            inner
            if element.tag in FLAT or len(parts) < 2
            else f"{element.tag}({inner})"
        )

    return show(ElementTree.fromstring(mathml.line(text)))


FLAT = ("mi", "mn", "mo", "mtext", "mspace")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x^2", "msup(x,2)"),
        ("e^x[i]", "msup(e,msub(x,i))"),
        ("e^(b x)", "msup(e,mrow(b,x))"),
        ("e^-x", "msup(e,mrow(−,x))"),
        ("-1/2 rstd^3", "mrow(−,1,/,2,msup(rstd,3))"),
        ("(a + b)^(-1/2)", "msup(mrow((,mrow(a,+,b),)),mrow(−,1,/,2))"),
        ("sum_{j <= i} x[j]", "mrow(munder(∑,mrow(j,≤,i)),msub(x,j))"),
        ("sum_n dy xhat", "mrow(munder(∑,n),mrow(d,y),mover(x,^))"),
        ("dgamma", "mrow(d,γ)"),
        ("L.T", "msup(L,T)"),
        ("da_i", "msub(mrow(d,a),i)"),
        ("C[ids[n]]", "msub(C,msub(ids,n))"),
        ("q . k", "mrow(q,·,k)"),
        ("[N, D]", "mrow([,mrow(N,,,D),])"),
        ("a that is", "mrow(a,that,is)"),
        ("sqrt(2 / pi)", "mrow(2,/,π)"),
    ],
)
def test_a_line_as_mathematics(text, expected):
    assert shape(text) == expected


@pytest.mark.parametrize("text", ["(a", "a)", "x[i", "(a]", "x^", "x^ 2"])
def test_what_is_no_mathematics_is_refused(text):
    with pytest.raises(NotMathematics):
        parse(text)


def test_a_block_that_is_no_mathematics_stands_as_it_is():
    assert derivation.equations(["    a -> (b", "    c"]) == "<pre>a -&gt; (b\nc</pre>"


def letters(text):
    """A line without brackets, spaces and what stands for a place above or below."""
    for name in HATS:
        text = text.replace(name, name[0])
    text = re.sub(r"sqrt|\.T\b", lambda m: m[0].strip("sqr.t"), text)
    return re.sub(r"[\s()\[\]{}^_]", "", text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_letter_of_a_derivation_is_lost(rule):
    doc = inspect.getdoc(module_of(rule))
    lines = [line for line in doc.splitlines() if line.startswith("    ")]
    body = derivation.body(doc)
    cells = re.findall(r"<math displaystyle.*?</math>", body)
    shown = ["".join(ElementTree.fromstring(cell).itertext()) for cell in cells]
    found = "".join(shown)
    for symbol, name in SET.items():
        found = found.replace(symbol, name)
    assert "<pre>" not in body
    assert letters(found) == letters("".join(lines))
