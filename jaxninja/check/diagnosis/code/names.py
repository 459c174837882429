"""What the user calls the values of a backward pass.

Arguments, residuals and the cotangent have names; an intermediate value is the piece of
the text that computes it.
"""

import ast
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.code.source import (
    cotangent_name,
    leaf_names,
    place,
    residual_names,
)
from jaxninja.check.evidence import Explained, Sample


def slot_names(program: Program, subject: Explained, sample: Sample) -> dict[int, str]:
    """A name for every slot of a backward that has one."""
    home = subject.source[0] if subject.source else ""
    return named(program, _roots(subject, sample), home)


def named(program: Program, roots: list[str], home: str = "") -> dict[int, str]:
    """The given names of the inputs, and of each step its piece of the text."""
    quotes = {}
    for step in program.steps:
        where = place(step.traceback, home)
        if where is not None and where.text:
            quotes[step.outs[0]] = where
    origins = {s: step.origin for step in program.steps for s in step.outs}
    last = {quote: origins[slot] for slot, quote in quotes.items()}
    names = {s: quote.text for s, quote in quotes.items() if origins[s] == last[quote]}
    names.update(zip(program.inputs, roots, strict=False))
    for step in program.steps:
        if step.outs[0] not in quotes and step.ins and step.ins[-1] in names:
            text = DERIVED.get(step.name)
            if text is not None and step.ins[-1] in program.inputs:
                names[step.outs[0]] = text.format(names[step.ins[-1]])
    return names


def _roots(subject: Explained, sample: Sample) -> list[str]:
    source = subject.source
    return [
        *(sample.residual_names or residual_names(source, sample.residuals)),
        *cotangent_leaves(sample, cotangent_name(source)),
        *argument_leaves(subject, sample),
    ]


def cotangent_leaves(sample: Sample, name: str) -> Sequence[str]:
    return sample.cotangent_names or leaf_names(sample.dy, name)


def argument_leaves(subject: Explained, sample: Sample) -> list[str]:
    pairs = zip(subject.argument_names, sample.args, strict=False)
    return [name for arg, value in pairs for name in leaf_names(value, arg)]


DERIVED = {
    "transpose": "{}.T",
    "sub": "(1 - {})",
    "sign": "sign({})",
    "exp": "exp({})",
    "square": "{}**2",
}


def derive(*trees) -> None:
    """Trace what an edit may need though the user's text does not compute it."""
    for leaf in jax.tree.leaves(trees):
        if not jnp.issubdtype(leaf.dtype, np.floating) or leaf.ndim == 0:
            continue
        jnp.subtract(1.0, leaf)
        jax.lax.sign(leaf)
        jnp.exp(leaf)
        if leaf.ndim >= 2:
            jnp.swapaxes(leaf, -1, -2)


def enclosed(text: str, operator: str) -> str:
    """A right operand as it has to be written after `-`, `*`, `/` or `@`."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:  # a few words, or a piece of a line
        return text
    if ast.get_source_segment(text, node) != text:  # it has parentheses
        return text
    match node:
        case ast.BinOp(op=ast.Pow()):
            bare = True
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            bare = operator in "-*"
        case ast.BinOp(op=ast.MatMult()):
            bare = operator == "-"
        case _:
            loose = (ast.BinOp, ast.Compare, ast.BoolOp, ast.IfExp)
            bare = not isinstance(node, loose)
    return text if bare else f"({text})"
