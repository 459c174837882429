"""Batchnorm trains with one set of statistics and infers with another.

With a momentum of 0.001 the running statistics need thousands of steps to follow. Until
then the network at inference is not the one that was trained, and its loss says so.
"""

from experiments.leaky_abstraction.setup import Outcome, Trained, names, train, word
from jaxninja.evaluate import calibrate, mean_loss

NET = {"layers": 3, "hidden": 100, "batchnorm": "all", "init": "deep", "gain": 1.0}


def experiment(steps: int = 300) -> Outcome:
    trained = train(steps, bn_momentum=1e-3, **NET)
    model = trained.config.model(len(names().vocabulary))
    calibrated = calibrate(trained.state.params, names().train.x, model)
    gap = {
        f"gap of layer {layer}, {part}": value[part]
        for layer, value in trained.lines[-1]["batchnorm"].items()
        for part in ("mean", "std")
        if layer in ("1", "4")
    }
    return Outcome(
        f"batchnorm at inference is not that of training, after {steps} steps",
        {"val loss": _val(trained, trained.state.statistics), **gap},
        {"val loss": _val(trained, calibrated), **dict.fromkeys(gap, 0.0)},
        "statistics calibrated on the training set (`--bn calibrated`)",
        word(trained, "batchnorm"),
    )


def _val(trained: Trained, statistics) -> float:
    model = trained.config.model(len(names().vocabulary))
    x, y = names().val
    return mean_loss(trained.state.params, statistics, x, y, model)
