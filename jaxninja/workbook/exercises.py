"""The four exercises: which gradients each asks for, and from what."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jaxninja.workbook.code import parse
from jaxninja.workbook.graph import BACKWARD, PARAMETERS, STEPS

SOLUTIONS = Path(__file__).parent / "solutions"


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        number: 1 to 4.
        title: a few words.
        names: of the gradients that it asks for, in backward order.
        returns: of those, what `backward` returns, in that order.
        probes: where random upstream gradients are put in, beside the loss's own.
        least: arrays of the forward pass, by name, that suffice.
        given: the gradients that it is handed.
        trains: whether it is to train the network, and so to be compiled.
    """

    number: int
    title: str
    names: tuple[str, ...]
    returns: tuple[str, ...]
    probes: tuple[str, ...]
    least: tuple[str, ...]
    given: tuple[str, ...] = ()
    trains: bool = False

    @property
    def file(self) -> str:
        return f"exercise{self.number}.py"

    @cached_property
    def solution(self) -> str:
        """The text of the worked solution."""
        return (SOLUTIONS / self.file).read_text(encoding="utf-8")

    @cached_property
    def worked(self) -> parse.Source:
        """The worked solution, parsed."""
        return parse.read(self.solution, self.file)

    @property
    def gradients(self) -> tuple[str, ...]:
        """The variables of the gradients asked for: d<name>."""
        return tuple(f"d{name}" for name in self.names)

    @property
    def known(self) -> tuple[str, ...]:
        """What `backward` may ask for."""
        handed = tuple(f"d{name}" for name in self.given)
        return ("Xb", "Yb", "n", *PARAMETERS, *STEPS, *handed)


# Exercise 4 leaves out what exercises 2 and 3 have in one expression each.
_INSIDE = (*BACKWARD[: BACKWARD.index("logits")], *BACKWARD[14:20])
_WHOLE = tuple(k for k in BACKWARD if k not in _INSIDE)

EXERCISES = {
    1: Exercise(
        1,
        "the atomic graph",
        BACKWARD,
        PARAMETERS,
        ("probs", "counts", "norm_logits", "logits", "hpreact", "bndiff", "hprebn"),
        ("embcat", "bnvar_inv", "bnraw", "h", "probs"),
    ),
    2: Exercise(
        2, "cross entropy in one expression", ("logits",), ("logits",), (), ("logits",)
    ),
    3: Exercise(
        3,
        "batch normalisation in one expression",
        ("hprebn",),
        ("hprebn",),
        ("hpreact",),
        ("bnvar_inv", "bnraw"),
        ("hpreact",),
    ),
    4: Exercise(
        4,
        "putting it all together",
        _WHOLE,
        PARAMETERS,
        ("logits", "hpreact", "hprebn"),
        ("embcat", "bnvar_inv", "bnraw", "h", "logits"),
        trains=True,
    ),
}

LEVELS = ("easy", "medium", "hard")
# minutes with pen and paper, our estimate, and how hard it is: a place in LEVELS
# fmt: off
EFFORT: dict[int, dict[str, tuple[int, int]]] = {
    1: {
        "logprobs": (10, 1), "probs": (5, 0), "counts_sum_inv": (10, 1),
        "counts_sum": (3, 0), "counts": (10, 1), "norm_logits": (3, 0),
        "logit_maxes": (5, 1), "logits": (10, 2), "h": (10, 1), "W2": (5, 0),
        "b2": (5, 0), "hpreact": (5, 0), "bngain": (5, 1), "bnbias": (2, 0),
        "bnraw": (2, 0), "bnvar_inv": (5, 1), "bnvar": (5, 0), "bndiff2": (10, 1),
        "bndiff": (5, 1), "bnmeani": (5, 1), "hprebn": (5, 1), "embcat": (2, 0),
        "W1": (2, 0), "b1": (2, 0), "emb": (3, 0), "C": (10, 2),
    },
    2: {"logits": (20, 1)},
    3: {"hprebn": (45, 2)},
}
# fmt: on
EFFORT[4] = {name: (1, 0) for name in _WHOLE} | {"logits": (3, 0), "hprebn": (5, 1)}
