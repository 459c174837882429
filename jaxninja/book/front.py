"""The first page: what the book holds, and where four kinds of readers begin."""

from html import escape

import jaxninja
from jaxninja.book import frame, markup
from jaxninja.models.network import PAGES
from jaxninja.rules import RULES

INTRODUCTION = """
Backward passes by hand, in JAX: {rules} layers and {networks} networks, each with its
derivation, its code, and a check against autodiff. The book is written from the library
itself, version {version}: what it shows is the code that runs. It needs no network and
runs no script.
"""

READERS = {
    "You learn how gradients work": (
        "You want every gradient on paper, and to know at once whether it is right.",
        (
            "[tanh](rules/tanh.html), [linear](rules/linear.html) and "
            "[softmax](rules/softmax.html): three derivations, short to long",
            "[cross_entropy](rules/cross_entropy.html) and "
            "[batchnorm](rules/batchnorm.html): the two that the lecture asks for",
            "[the workbook](workbook.html): derive them yourself, with a check",
            "[ninja](networks/ninja.html): a whole network, backward by hand",
            "[the glossary](glossary.html), whenever a word is new",
        ),
    ),
    "You write custom_vjp rules": (
        "You need to know that a rule is right, what it keeps, and what it costs.",
        (
            "[check_vjp](reference/jaxninja.html#check_vjp): one call, and its options",
            "[the findings](findings.html): each code with a rule that gives it, and "
            "how to fix it",
            "[layernorm](rules/layernorm.html) and [attention](rules/attention.html): "
            "what is kept and why, and the certificate",
            "[residuals_of](reference/jaxninja.html#residuals_of): the same for a "
            "function of yours",
            "[all rules](rules/index.html), by what they keep",
        ),
    ),
    "You run training": (
        "You want a jitted run, its losses, and to see what is unhealthy in it.",
        (
            "[the networks](networks/index.html): what there is, with its sizes",
            "[transformer](networks/transformer.html): forward beside backward",
            "[TrainConfig](reference/jaxninja.html#TrainConfig): every option",
            "[train](reference/jaxninja.html#train) and "
            "[load](reference/jaxninja.html#load): a run, and a run from its folder",
            "[the figures](reference/jaxninja.plots.html) of a run",
        ),
    ),
    "You try things in a notebook": (
        "You want small pure functions that show what happens inside.",
        (
            "[retain_grads](reference/jaxninja.html#retain_grads): the gradient of "
            "every array that a function names",
            "[trace and backward](reference/jaxninja.engine.html#trace): the graph of "
            "a function, with all gradients",
            "[watch](reference/jaxninja.html#watch): statistics of what a function "
            "computes on its way",
            "[manual and autodiff](reference/jaxninja.html#manual): the same layers "
            "with and without the hand-derived backward",
            "[compare_grads](reference/jaxninja.html#compare_grads): any two pytrees",
        ),
    ),
}

WHAT = {
    "rules/index.html": "a page for each layer: derivation, forward beside backward, "
    "what is kept, certificate, graph",
    "networks/index.html": "whole networks, and their backward passes by hand",
    "findings.html": "what the checker says, by code, with an example and a fix each",
    "workbook.html": "the exercises, with hints folded away",
    "chapters/index.html": "how each part of the library is built",
    "reference/index.html": "every exported name",
    "glossary.html": "the words used here, explained",
}


def page(parts: list[str]) -> frame.Page:
    """The index; `parts` are those that this book has."""
    counts = {"rules": len(RULES), "networks": len(PAGES)}
    text = INTRODUCTION.format(**counts, version=jaxninja.__version__)
    body = (
        f'<h1>The jaxninja handbook</h1><p class="lead">{escape(text)}</p>'
        f'<h2>Where to begin</h2><div class="cards">{_cards()}</div>'
        f"<h2>What is in it</h2><ul>{_parts(parts)}</ul>"
    )
    return frame.Page("index.html", "Handbook", body)


def _cards() -> str:
    return "".join(
        f"<section><h3>{escape(who)}</h3><p>{escape(wish)}</p><ol>{_steps(steps)}</ol>"
        "</section>"
        for who, (wish, steps) in READERS.items()
    )


def _steps(steps: tuple[str, ...]) -> str:
    return "".join(f"<li>{markup.inline(step)}</li>" for step in steps)


def _parts(parts: list[str]) -> str:
    return "".join(
        f"<li>{frame.link(part, frame.PARTS[part])}: {escape(WHAT[part])}</li>"
        for part in parts
        if part in WHAT
    )
