"""An exercise: a network, and a worked solution of its gradients.

All of it is in one file of `solutions/`. Up to the end of `backward` that file is what
a learner has too, but for the answers and our own imports; below it are the network,
its sizes, and the record. What is asked for, given and returned `backward` tells.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jaxninja.workbook.code import parse
from jaxninja.workbook.network import Network

SOLUTIONS = Path(__file__).parent / "solutions"


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise.

    Attributes:
        number: from 1 on.
        title: a few words.
        network: whose gradients it asks for.
        effort: minutes with pen and paper, our estimate, and how hard it is, 0 to 2,
            for each gradient.
        probes: where random upstream gradients are put in, beside the network's own.
        least: arrays of the forward pass, by name, that suffice.
        time: when the lecture derives it, where its arrays have no times of their own.
        forms: other right forms of a gradient that learners write, beside the worked
            solution's.
        jacobians: gradients of one step whose Jacobian, within a row, is drawn.
        trains: whether it is to train the network, and so to be compiled.
    """

    number: int
    title: str
    network: Network
    effort: Mapping[str, tuple[int, int]]
    probes: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    time: str = ""
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    jacobians: tuple[str, ...] = ()
    trains: bool = False

    @property
    def file(self) -> str:
        return f"exercise{self.number}.py"

    @cached_property
    def solution(self) -> str:
        """The text of the worked solution, as far as a learner's file goes."""
        return learners((SOLUTIONS / self.file).read_text(encoding="utf-8"))

    @cached_property
    def worked(self) -> parse.Source:
        """The worked solution, parsed."""
        return parse.read(self.solution, self.file)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the gradients that it asks for, in the order of the solution."""
        assigned = [name for s in self.worked.statements for name in sorted(s.assigns)]
        return tuple(dict.fromkeys(self._of(assigned)))

    @cached_property
    def given(self) -> tuple[str, ...]:
        """The gradients that it is handed."""
        return tuple(self._of(self.worked.parameters))

    @cached_property
    def returns(self) -> tuple[str, ...]:
        """Of the names, those whose gradients `backward` returns, in that order."""
        nodes = ast.walk(self.worked.function.body[-1])
        return tuple(self._of(n.id for n in nodes if isinstance(n, ast.Name)))

    def _of(self, variables) -> list[str]:
        known = self.network.node
        return [v[1:] for v in variables if v[:1] == "d" and v[1:] in known]

    @property
    def gradients(self) -> tuple[str, ...]:
        """The variables of the gradients asked for: d<name>."""
        return tuple(f"d{name}" for name in self.names)

    @property
    def known(self) -> tuple[str, ...]:
        """What `backward` may ask for."""
        network, handed = self.network, tuple(f"d{name}" for name in self.given)
        return (*network.data, *network.numbers, *network.node, *handed)

    def sources(self, name: str) -> tuple[set[str], set[str]]:
        """The arrays whose gradients make this one, and the arrays between."""
        return self.network.frontier(name, {*self.given, *self.names})

    def downstream(self, name: str) -> tuple[str, ...]:
        """The gradients asked for that are computed from this one's, in their order."""
        ancestors = {*self.network.before(name)} - {name}
        return tuple(other for other in self.names if other in ancestors)


def learners(text: str) -> str:
    """The part of a solution's file that a learner has, with the answers."""
    lines, tree = text.splitlines(), ast.parse(text)
    last = next(n for n in tree.body if getattr(n, "name", "") == parse.FUNCTION)
    ours = {
        k
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("jaxninja")
        for k in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    kept = [a for k, a in enumerate(lines[: last.end_lineno], 1) if k not in ours]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)) + "\n"
