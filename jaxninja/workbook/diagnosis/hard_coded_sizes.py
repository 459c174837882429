"""Right for the exercise's sizes only: which number in the lines is one of them?

A number is named only if the lines are right on other sizes with that size instead.
"""

import ast
import copy
import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import jax
import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.workbook import samples
from jaxninja.workbook.code import parse, snippets
from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.network import Network, Sizes
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import phrase, sentence

MOST = 40  # combinations that are tried
FEW = 8  # of lines that are wrong otherwise too


def hard_coded(exercise: Exercise, name: str, learner: Source) -> Hint | None:
    """The numbers of a gradient's lines that are the exercise's sizes; None if none is.

    Under `jax.enable_x64(True)`.
    """
    nodes = [s.node for s in learner.piece(f"d{name}", exercise.gradients)]
    lines = {k for n in nodes for k in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    network = exercise.network
    for k, chosen in enumerate(_choices(network, nodes)):
        if k == MOST:
            return None
        tried = (network.pair, network.tied)
        if all(_right(exercise, name, learner, lines, chosen, s) for s in tried):
            described = [_described(network, *pair) for pair in chosen.items()]
            which = sentence("semicolon").join(described)
            return say("sizes", name=name, whose=phrase(network.whose), which=which)
    return None


def written_out(
    exercise: Exercise, name: str, learner: Source
) -> Iterator[tuple[Piece, Hint]]:
    """The lines of a gradient with sizes in place of numbers, and a hint on these.

    For lines that are wrong by more than that: what else is, the others can tell.
    """
    nodes = [s.node for s in learner.piece(f"d{name}", exercise.gradients)]
    lines = {k for n in nodes for k in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    network = exercise.network
    for k, chosen in enumerate(_choices(network, nodes)):
        if k == FEW:
            return
        texts = {number: network.letters[a] for number, a in chosen.items()}
        with suppress(Exception):  # a size that these lines cannot ask for
            changed = _changed(learner, lines, texts)
            scope = snippets.environment(changed)
            piece = snippets.step(changed, scope, f"d{name}", exercise.gradients)
            described = [_described(network, *pair) for pair in chosen.items()]
            which = sentence("semicolon").join(described)
            yield piece, say("written out", name=name, which=which)


def _described(network: Network, number: Any, letter: str) -> str:
    sizes = (_size(at, letter) for at in (network.pair, network.tied))
    here = next((size for size in sizes if size != number), number)
    written = network.letters[letter]
    facts = dict(number=f"{number:g}", letter=letter, here=here, written=written)
    return sentence("size", **facts)


def _size(sizes: Sizes, letter: str) -> int:
    """Of a letter, of one less, or of a product of letters."""
    if letter.endswith(" - 1"):
        return _size(sizes, letter.removesuffix(" - 1")) - 1
    return math.prod(sizes[one] for one in letter)


def _choices(network: Network, nodes: list[ast.stmt]) -> Iterator[dict[Any, str]]:
    """Numbers to letters, few numbers first."""
    numbers = {
        part.value: None
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and type(part.value) in (int, float)
    }
    letters = {
        number: [a for a in network.letters if _size(network.home, a) == number]
        for number in numbers
    }
    letters = {number: found for number, found in letters.items() if found}
    every = product(*([None, *found] for found in letters.values()))
    chosen = [
        {number: a for number, a in zip(letters, one, strict=True) if a}
        for one in every
    ]
    yield from sorted((c for c in chosen if c), key=len)


def _right(exercise, name, learner, lines, chosen, sizes: Sizes) -> bool:
    sample = samples.sample(exercise.network, sizes)
    numbers = {number: _size(sizes, letter) for number, letter in chosen.items()}
    try:
        changed = _changed(learner, lines, numbers)
        scope = snippets.environment(changed)
        piece = snippets.step(changed, scope, f"d{name}", exercise.gradients)
        mine = wide(piece(sample.values, upstream(exercise, name, sample)))
    except Exception:  # another number it is then
        return False
    return any(_same(mine, t, sample, name) for t in _truths(sample, name))


def _truths(sample: Sample, name: str) -> tuple:
    return (sample.truth[name], *sample.ties.get(name, ()))


def _same(mine: np.ndarray, truth: jax.Array, sample: Sample, name: str) -> bool:
    same = mine.shape == np.shape(truth)
    return same and difference(mine, truth, 1e-9 * sample.scale(name)).ok


def _changed(learner: Source, lines: set[int], numbers: dict) -> Source:
    """The file with other numbers, or texts of sizes, in these lines."""

    class Change(ast.NodeTransformer):
        def visit_Constant(self, node):
            same = type(node.value) in (int, float) and node.value in numbers
            if not same or node.lineno not in lines:
                return node
            return ast.parse(str(numbers[node.value]), mode="eval").body

    tree = Change().visit(copy.deepcopy(learner.tree))
    return parse.read(ast.unparse(tree), learner.filename)
