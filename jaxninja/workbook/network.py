"""A network as named steps: what each is computed from, and who reads whom.

An exercise is on such a network. Its steps are text, for templates, hints and pictures,
and the forward pass runs the same text.
"""

import ast
import linecache
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name as named

from jaxninja.workbook.texts.languages import phrase

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Sizes:
    """A size for each letter, and what is drawn at random there.

    `tied` asks for maxima that are attained twice, where a network has maxima.
    """

    letters: tuple[tuple[str, int], ...]
    seed: int
    tied: bool = False

    def __getitem__(self, letter: str) -> int:
        return dict(self.letters)[letter]

    def __str__(self) -> str:
        return ", ".join(f"{letter}={size}" for letter, size in self.letters)


def sizes(seed: int, tied: bool = False, **letters: int) -> Sizes:
    return Sizes(tuple(letters.items()), seed, tied)


@dataclass(frozen=True)
class Node:
    """A named array of the forward pass.

    Attributes:
        name: as the formulas have it.
        shape: a letter, a number or a product of letters for each axis.
        formula: what it is computed from; empty for what has a gradient and is given.
        time: about when the lecture derives its gradient. The published chapters have
            times of their own; within a chapter it is interpolated by words spoken.
    """

    name: str
    shape: str
    formula: str = ""
    time: str = ""

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names in its formula."""
        nodes = ast.walk(ast.parse(self.formula))
        return frozenset(node.id for node in nodes if isinstance(node, ast.Name))

    @cached_property
    def code(self) -> CodeType:
        """Of the formula, which can be quoted: its file's name is that of a line."""
        file = f"forward: {self.line}"
        linecache.cache[file] = (len(self.formula), None, [self.formula], file)
        return compile(self.formula, file, "eval")

    @property
    def line(self) -> str:
        return f"{self.name} = {self.formula}"


@dataclass(frozen=True, eq=False)
class Network:
    """Steps, and sizes on which mistakes show.

    Attributes:
        nodes: first what is given, then the steps in order; the last is the output.
        inputs: draws what is given, by name, for some sizes; in float64. What is of
            whole numbers or of truth values there has no gradient.
        home: the sizes whose bits are compared, in float32.
        pair: sizes as small as they can be; nothing that is hard-coded fits.
        tied: sizes for random gradients and, where the network has maxima, ties.
        letters: what a learner writes for a size; "n - 1" and "TE" are sizes too.
        numbers: of the letters, those that `backward` may ask for.
        whose: are sizes and loss: "the lecture's".
        zero: gradients that are zero in theory, and an array whose gradient has their
            terms.
        ties: given values and true gradients, other gradients that are right too.
        places: where a picture of the graph has each array; by default by its depth.
    """

    nodes: tuple[Node, ...]
    inputs: Callable[[Sizes], dict[str, np.ndarray]]
    home: Sizes
    pair: Sizes
    tied: Sizes
    letters: Mapping[str, str]
    numbers: tuple[str, ...] = ()
    whose: str = "the exercise's"
    zero: Mapping[str, str] = field(default_factory=dict)
    ties: Callable[[Arrays, Arrays], dict[str, tuple]] = lambda values, truth: {}
    places: Mapping[str, tuple[float, float]] | None = None

    @cached_property
    def node(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def steps(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes if node.formula)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """What is given and has a gradient."""
        return tuple(node.name for node in self.nodes if not node.formula)

    @cached_property
    def data(self) -> tuple[str, ...]:
        """What is given and has none."""
        return tuple(k for k in self.inputs(self.pair) if k not in self.node)

    @property
    def output(self) -> str:
        return self.nodes[-1].name

    @property
    def upstream(self) -> str:
        """What an exercise's first gradients come from, in words."""
        loss = self.output == "loss"
        return f"{phrase(self.whose)} {'' if loss else 'd'}{self.output}"

    def parents(self, name: str) -> tuple[str, ...]:
        """What the formula of an array reads and has a gradient."""
        reads = self.node[name].reads
        return tuple(node.name for node in self.nodes if node.name in reads)

    def uses(self, name: str) -> tuple[Node, ...]:
        """The steps that read an array: its gradient has one branch for each."""
        return tuple(node for node in self.nodes if name in node.reads)

    def before(self, name: str) -> tuple[str, ...]:
        """All arrays that influence this one, itself included, in order."""
        found = {name}
        for node in reversed(self.nodes):
            if node.name in found:
                found |= node.reads
        return tuple(node.name for node in self.nodes if node.name in found)

    def frontier(self, name: str, known: Collection[str]) -> tuple[set[str], set[str]]:
        """Where a gradient comes from, if those of `known` arrays are at hand.

        Returns:
            The nearest known arrays that read it, directly or by others, and those
            others.
        """
        found, between, todo = set(), set(), [name]
        while todo:
            for node in self.uses(todo.pop()):
                if node.name in known or node.name == self.output:
                    found.add(node.name)
                elif node.name not in between:
                    between.add(node.name)
                    todo.append(node.name)
        return found, between

    def counts(self, at: Sizes) -> dict[str, int]:
        """The sizes that formulas and `backward` may read."""
        return {letter: at[letter] for letter in self.numbers}

    def forward(self, given: Arrays, at: Sizes) -> dict[str, Any]:
        """What is given and has a gradient, and all steps; named for `retain_grads`."""
        space = {**given, **self.counts(at)}
        space |= {k: named(space[k], k) for k in self.parameters}
        for name in self.steps:
            space[name] = named(self._run(name, space), name)
        return {name: space[name] for name in self.node}

    def recomputed(
        self, values: Arrays, names: Collection[str], between: Collection[str]
    ) -> dict[str, Any]:
        """The steps of these names, computed anew.

        They follow from the arrays in `values`, and those of `between` from these: all
        others, the `names` themselves included, are read as they are given.
        """
        space, found = dict(values), {}
        for name in self.steps:
            if name in names or name in between:
                found[name] = self._run(name, space)
                space[name] = found[name] if name in between else space[name]
        return {name: found[name] for name in found if name in names}

    def _run(self, name: str, space: Arrays) -> Any:
        return eval(self.node[name].code, {"jax": jax, "jnp": jnp, **space})
