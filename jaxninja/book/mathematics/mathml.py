"""The tree of a line as MathML, which browsers set without a script."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from jaxninja.book.mathematics.notation import OPEN, Group, Node, Script, Token, parse

GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε"},
    **{"theta": "θ", "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ"},
    **{"phi": "φ", "omega": "ω", "inf": "∞", "tau": "τ"},
}
SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠", "->": "→", "+-": "±", "...": "…", "-": "−"}
SIGNS |= {"*": "∗", "'": "′"}
SUMS = {"sum_": "∑", "prod_": "∏", "max_": "max"}
HATS = ("xhat", "yhat", "zhat")
WORDS_AFTER_SUM = {"over", "of", "from", "along", "and", "to"}


def line(text: str, inline: bool = False) -> str:
    """A line as one `<math>` element, by itself or in a sentence.

    Raises:
        NotMathematics: it is none.
    """
    math = Element("math") if inline else Element("math", displaystyle="true")
    _row(math, parse(text))
    return tostring(math, encoding="unicode")


def _row(parent: Element, items: Sequence[Node]) -> Element:
    """The items beside each other."""
    row = SubElement(parent, "mrow")
    skipped = 0
    for i, item in enumerate(items):
        before = items[i - 1] if i else None
        after = items[i + 1] if i + 1 < len(items) else None
        if skipped:
            skipped -= 1
            continue
        if isinstance(item, Token) and item.text == "sqrt" and after is not None:
            skipped = _root(row, items[i + 1 : i + 3])
            continue
        if isinstance(item, Token) and item.kind == "space":
            _space(row, item.text, before, after)
        elif isinstance(item, Token) and item.kind == "sign":
            _sign(row, item.text, before, items[i - 2] if i > 1 else None, after)
        elif isinstance(item, Token) and item.text == "sum" and _begins(items[i:]):
            SubElement(row, "mo").text = "∑"
        elif isinstance(item, Token) and item.text == "a" and _is_article(items[i:]):
            SubElement(row, "mtext").text = "a"
        else:
            _node(row, item)
    return row


def _root(row: Element, following: Sequence[Node]) -> int:
    """sqrt(2 / pi), sqrt 2: the root of a bracket, or of what comes after a space;
    returns how many items are under it."""
    root = SubElement(row, "msqrt")
    if isinstance(following[0], Group):
        _row(root, following[0].items)
        return 1
    _row(root, following[1:])
    return 2


def _begins(items: Sequence[Node]) -> bool:
    """Whether a bare `sum` is the operator, and no word of a sentence."""
    words = [item.text for item in items[1:3] if isinstance(item, Token)]
    return not WORDS_AFTER_SUM & {*words}


def _is_article(items: Sequence[Node]) -> bool:
    """Whether `a` stands before a word, as in "a coin", and is no factor."""
    after = items[2] if len(items) > 2 else None
    word = isinstance(after, Token) and after.kind == "name" and len(after.text) > 2
    return word and after.text not in (*GREEK, *HATS)  # type: ignore[union-attr]


def _space(row: Element, text: str, before: Node | None, after: Node | None) -> None:
    """Between two operands; beside a sign MathML has a space of its own."""
    if len(text) > 1:
        SubElement(row, "mspace", width="1.5em")
    elif _ends(before) or not (_is_infix(before) or _is_infix(after)):
        SubElement(row, "mspace", width="0.25em")


def _is_infix(node: Node | None) -> bool:
    return isinstance(node, Token) and node.kind == "sign" and node.text not in ".,;:|"


def _sign(row: Element, text: str, before, further, after) -> None:
    spaced = isinstance(before, Token) and before.kind == "space"
    left = further if spaced else before
    if text == "." and spaced and after is not None:  # q . k
        SubElement(row, "mo").text = "·"
    elif text in ".,;:":
        SubElement(row, "mtext").text = text
    elif text == "|":
        SubElement(row, "mo", stretchy="false", lspace="0", rspace="0").text = text
    elif text in "+-" and (left is None or _is_infix(left) or _ends(left)):
        SubElement(row, "mo", form="prefix").text = SIGNS.get(text, text)
    else:
        SubElement(row, "mo", stretchy="false").text = SIGNS.get(text, text)


def _ends(node: Node | None) -> bool:
    """Whether what follows begins anew, as after a comma."""
    return isinstance(node, Token) and node.text in (",", ";", ":")


def _node(parent: Element, node: Node) -> None:
    if isinstance(node, Group):
        _group(parent, node)
    elif isinstance(node, Script):
        _script(parent, node)
    elif node.kind == "number":
        SubElement(parent, "mn").text = node.text
    elif node.kind == "name":
        _name(parent, node.text)
    elif node.kind == "sign":
        SubElement(parent, "mo", form="prefix").text = SIGNS.get(node.text, node.text)
    else:
        SubElement(parent, "mtext").text = node.text


def _group(parent: Element, group: Group) -> None:
    row = SubElement(parent, "mrow")
    SubElement(row, "mo", stretchy="false").text = group.bracket
    _row(row, group.items)
    SubElement(row, "mo", stretchy="false").text = OPEN[group.bracket]


def _script(parent: Element, node: Script) -> None:
    if node.kind == "sum":
        element = SubElement(parent, "munder")
        SubElement(element, "mo").text = SUMS[node.base.text]  # type: ignore[union-attr]
    else:
        element = SubElement(parent, "msup" if node.kind == "^" else "msub")
        _node(element, node.base)
    _row(element, node.script)


def _name(parent: Element, name: str) -> None:
    """x, dx, xhat, dgamma, p_n, x1, A.T: by their parts; a longer name upright."""
    stem, transposed, _ = name.partition(".T")
    bare = stem.rstrip("'")
    if transposed:
        parent = SubElement(parent, "msup")
    head, _, index = bare.partition("_")
    short = head[1:] if head[:1] == "d" and len(head) > 1 else head
    if index and len(short) == 1:
        parent, owner = SubElement(parent, "msub"), parent
        _letters(parent, head)
        _letters(parent, index)
        parent = owner
    elif len(bare) > 1 and bare.rstrip("0123456789") in _SHORT and bare[-1].isdigit():
        sub = SubElement(parent, "msub")
        letters = bare.rstrip("0123456789")
        _letters(sub, letters)
        SubElement(sub, "mn").text = bare[len(letters) :]
    else:
        _letters(parent, bare)
    if primes := len(stem) - len(bare):
        SubElement(parent, "mo", lspace="0", rspace="0").text = "′" * primes
    if transposed:
        SubElement(parent, "mi", mathvariant="normal").text = "T"


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHORT = {*_LETTERS, *(f"d{letter}" for letter in _LETTERS)}


def _letters(parent: Element, name: str) -> None:
    """A single symbol, with a d before it or a hat; else the name, upright."""
    rest = name[1:] if name[:1] == "d" else ""
    if rest in GREEK or len(rest) == 1 or rest in HATS:
        row = SubElement(parent, "mrow")
        SubElement(row, "mi", mathvariant="normal").text = "d"
        _letters(row, rest)
    elif name in HATS:
        hat = SubElement(parent, "mover", accent="true")
        SubElement(hat, "mi").text = name[0]
        SubElement(hat, "mo").text = "^"
    elif len(name) == 1 or name in GREEK:
        SubElement(parent, "mi").text = GREEK.get(name, name)
    else:
        SubElement(parent, "mi", mathvariant="normal").text = name
