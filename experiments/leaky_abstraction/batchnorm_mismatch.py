"""Batchnorm trains with one set of statistics and infers with another.

With a momentum of 0.001 the running statistics need thousands of steps to follow. Until
then the network at inference is not the one that was trained, and its loss says so.
"""

import jax.numpy as jnp

from experiments.leaky_abstraction.setup import Outcome, names, train, word
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.evaluation import calibrate, mean_loss
from jaxninja.training.monitor import observe

NET = {"layers": 3, "hidden": 100, "batchnorm": "all", "init": "deep", "gain": 1.0}


def experiment(count: int = 300) -> Outcome:
    trained = train(count, bn_momentum=1e-3, **NET)
    model = trained.config.network(len(names().vocabulary))
    calibrated = calibrate(trained.state.params, names().train.x, model)
    return Outcome(
        f"batchnorm at inference is not that of training, after {count} steps",
        _measure(trained.config, trained.state, count),
        _measure(trained.config, trained.state._replace(statistics=calibrated), count),
        "statistics calibrated on the training set (`--bn calibrated`)",
        word(trained, "batchnorm"),
    )


def _measure(config: TrainConfig, state: steps.State, step: int) -> dict[str, float]:
    """Val loss with the state's statistics, and how far off they are."""
    model = config.network(len(names().vocabulary))
    x, y = map(jnp.asarray, names().train)
    gaps = observe(config, model, state, steps.Items(x, y), step)["batchnorm"]
    val = names().val
    return {
        "val loss": mean_loss(state.params, state.statistics, val.x, val.y, model),
        "gap of layer 1, mean": gaps["1"]["mean"],
        "gap of layer 1, std": gaps["1"]["std"],
        "gap of layer 4, std": gaps["4"]["std"],
    }
