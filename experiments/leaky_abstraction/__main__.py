"""All six, as the tables of the README beside it.

python -m experiments.leaky_abstraction
"""

from collections.abc import Iterator

from experiments.leaky_abstraction import (
    batchnorm_mismatch,
    clipped_loss,
    confident_softmax,
    dying_relus,
    recurrence,
    saturation,
)
from experiments.leaky_abstraction.setup import Outcome


def outcomes() -> Iterator[Outcome]:
    yield saturation.experiment("sigmoid")
    yield saturation.experiment("tanh")
    yield dying_relus.experiment()
    yield recurrence.experiment(1.3)
    yield recurrence.experiment(0.7)
    yield clipped_loss.experiment()
    yield batchnorm_mismatch.experiment()
    yield confident_softmax.experiment()


def table(outcome: Outcome) -> str:
    """Markdown: a heading, the two versions beside each other, and the word."""
    rows = [
        f"| {name} | {outcome.wrong[name]:.3g} | {outcome.fixed[name]:.3g} |"
        for name in outcome.wrong
    ]
    head = f"\n**{outcome.leak}**; fixed by: {outcome.fix}.\n\n"
    columns = "| | wrong | fixed |\n|---|---|---|\n"
    return f"{head}{columns}" + "\n".join(rows) + f"\n\n> {outcome.word}"


if __name__ == "__main__":
    for outcome in outcomes():
        print(table(outcome), flush=True)
