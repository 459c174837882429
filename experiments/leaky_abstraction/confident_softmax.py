"""A softmax that starts out sure of itself, and wrong: the hockey stick of the loss.

Logits of standard deviation 14 (200 units times weights of deviation 1) put all of the
probability on one symbol, mostly not the right one. The loss starts at 27 rather than
at log 27 = 3.3, and the first thousands of steps go into squashing the logits.
"""

from experiments.leaky_abstraction.setup import Outcome, Trained, train, word

NET = {"layers": 1, "hidden": 200, "batchnorm": "none"}


def experiment(steps: int = 1_000) -> Outcome:
    wrong = train(steps, init="original", **NET)
    fixed = train(steps, init="softmax", **NET)
    return Outcome(
        "the softmax starts out confidently wrong",
        _measure(wrong, steps),
        _measure(fixed, steps),
        "output weights times 0.01, output bias 0",
        word(wrong, "start"),
    )


def _measure(trained: Trained, steps: int) -> dict[str, float]:
    first, last = trained.lines
    return {
        "loss at step 0": first["loss"],
        "std of the logits at step 0": first["activations"]["logits"]["std"],
        f"loss at step {steps}": last["loss"],
    }
