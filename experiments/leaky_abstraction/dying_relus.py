"""Relus at a large learning rate: some step pushes a unit off for every example.

From then on its gradient is zero for all of the data: no later step brings it back.
"""

from experiments.leaky_abstraction.setup import Outcome, Trained, dead, train, word

NET = {
    "layers": 2,
    "hidden": 100,
    "batchnorm": "none",
    "activation": "relu",
    "init": "kaiming",
}


def experiment(lr: float = 2.0, steps: int = 1_000) -> Outcome:
    wrong, fixed = train(steps, lr=lr, **NET), train(steps, lr=0.1, **NET)
    return Outcome(
        f"relus die at a learning rate of {lr:g}",
        _measure(wrong),
        _measure(fixed),
        "a learning rate of 0.1",
        word(wrong, "activations"),
    )


def _measure(trained: Trained) -> dict[str, float]:
    shares = {
        f"dead units in {name}, whole set": count / units
        for name, (count, units) in dead(trained).items()
    }
    return {**shares, "loss of the next batch": trained.lines[-1]["loss"]}
