"""Formulas in sentences: set as mathematics, and words left alone."""

import inspect
import re
from html import unescape

import pytest

from jaxninja.book.mathematics import derivation, sentences
from jaxninja.book.rule_pages import module_of
from jaxninja.rules import RULES
from tests.book.mathematics.test_notation import SET, letters

KNOWN = "y = a x + b_i"


def marked(text, known=KNOWN):
    """A sentence with each formula between bars, as it was written."""
    page = re.sub("<span[^>]*>|</span>", "", sentences.html(text, known))
    return unescape(re.sub("<math>(.*?)</math>", lambda m: f"|{plain(m[1])}|", page))


def plain(markup):
    return unescape(re.sub(r"<[^>]*>", "", re.sub(r"<mspace[^>]*>", " ", markup)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the slope 1 - y^2 cancels", "the slope |1−y2| cancels"),
        ("at x = 0 dx = dy; at x = -1 dx is", "at |x=0| |dx=dy|; at |x=−1| |dx| is"),
        ("with s' = s (1 - s) from", "with |s′=s (1−s)| from"),
        ("x[t] sees y[t - 1] (see a.py)", "|xt| sees |yt−1| (see a.py)"),
        ("all the x's send; relu's", "all the |x|'s send; relu's"),
        ("a sum of a dx and of b_i", "a sum of |a dx| and of |bi|"),
        ("p log p, log sum e^z, the log of", "|p log p|, |log ∑ ez|, the log of"),
        ("a gate of size 1 and gate = 0", "a gate of size 1 and |gate=0|"),
        ("the T x S numbers, in [0, 1]", "the |T×S| numbers, in [0, 1]"),
        ("dx is dy / (number) where |x| < 1", "|dx| is |dy/(number)| where ||x|<1|"),
        ("an x-axis, rows' maxima, do", "an x-axis, rows' maxima, do"),
        ("`x = 1`, d<l>, f(x", "<code>x = 1</code>, <code>d<l></code>, |f|(|x|"),
    ],
)  # fmt: skip
def test_formulas_in_a_sentence(text, expected):
    assert marked(text) == expected


def test_a_formula_and_the_sign_after_it_stay_on_one_line():
    text = sentences.html("so dx = 0, and y (say) is", KNOWN)
    assert re.findall('<span class="joined"><math>.*?</math>([^<]*)</span>', text) == [
        ","
    ]


def test_a_name_with_an_index_is_a_symbol_where_the_equations_have_it():
    assert marked("x_W and b_i", "") == "x_W and b_i"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_letter_of_a_sentence_is_lost(rule):
    doc = inspect.getdoc(module_of(rule))
    body = re.sub(
        r'<div class="wide">.*?</div></div>', "", derivation.body(doc), flags=re.S
    )
    found = plain(body.replace(".</b> ", ":</b> "))
    for symbol, name in (*SET.items(), ("×", "x")):
        found = found.replace(symbol, name)
    rest = doc.partition("\n\n")[2].replace("`", "")
    lines = [row for row in rest.splitlines() if not row.startswith("    ")]
    assert letters(found) == letters(" ".join(lines))
