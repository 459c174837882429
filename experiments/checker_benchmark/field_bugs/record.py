"""How a field bug is written down: thread, class, what happened, the wrong rule.

A bug is told from the truth without autodiff of our reference:

    "value"     the directional derivative of the plain forward by central differences
    "forward"   the value of fwd against that of the plain forward
    "dtype"     the dtype of a gradient against that of its argument
    "second"    central differences of the backward itself against its derivative
    "finite"    a gradient that is not finite where differences of the forward are
    "structure" JAX itself refuses the gradient
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.checker_benchmark.bank.record import record, sizes
from jaxninja.rule import Rule


class FieldBug(NamedTuple):
    """A real bug, re-created.

    Attributes:
        name: unique here.
        thread: where it was reported, as owner/repo#number.
        kind: its class, A1 to D12 (README).
        said: what was wrong, in our words.
        rule: the wrong rule; its reference is the right plain forward.
        wrong_by: which truth it offends, see the head of this file.
        witness: `witness(args) -> args` at which it is wrong, if not everywhere.
        truth: what a checker may call it, in the words of the mutation operators.
        level: the level of a checker that can be expected to look there.
    """

    name: str
    thread: str
    kind: str
    said: str
    rule: Rule
    wrong_by: str = "value"
    witness: Callable[..., tuple] | None = None
    truth: str = ""
    level: str = "standard"

    @property
    def url(self) -> str:
        repository, number = self.thread.split("#")
        return f"https://github.com/{repository}/issues/{number}"


def bug(
    thread: str,
    kind: str,
    said: str,
    plain: Callable[..., Any],
    fwd: Callable[..., Any],
    bwd: Callable[..., Any],
    example: Callable[..., tuple],
    dims: str,
    *static,
    **more,
) -> FieldBug:
    """Make the wrong rule of `plain`, `fwd`, `bwd`; sizes as "N=3 D=5", a case each
    side of a "|". The bug is named after the plain function."""
    cases = [sizes(part, *static) for part in dims.split("|")]
    wrong = record(plain, fwd, bwd, example, *cases, static=len(static), source=thread)
    name = f"{plain.__name__} {thread.split('/')[1]}"
    return FieldBug(name, thread, kind, said, wrong, **more)


def saving(plain, *which: int):
    """A fwd that keeps all of the arguments, or those numbered."""

    def fwd(*args):
        kept = tuple(args[i] for i in which) if which else args
        return plain(*args), kept

    fwd.__name__ = fwd.__qualname__ = f"{plain.__name__}_fwd"
    return fwd
