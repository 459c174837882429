"""What each model is trained with when nothing else is said.

A recipe names every setting that depends on the model. A model takes the options that
its recipe names and no others of OPTIONS; None is for what the data decide (a context
as long as the longest item, and one for its start) or what is left out (no drop of the
learning rate). Those of the sequence models are makemore.py's, that of `wavenet` is the
fifth lecture's, and that of `ninja` the fourth's.
"""

from typing import Any

_LECTURE = {
    "split": "lecture",
    "steps": 200_000,
    "optimizer": "sgd",
    "lr": 0.1,
    "lr_drop_at": 100_000,
    "beta2": 0.999,
    "eps": 1e-5,
    "ddof": 1,
    "running_ddof": None,
    "bn_momentum": 1e-3,
}
# makemore.py itself goes on without end.
_MAKEMORE = {
    "split": "makemore",
    "steps": 10_000,
    "optimizer": "adamw",
    "lr": 5e-4,
    "lr_drop_at": None,
    "beta2": 0.99,
    "context": None,
}
_WIDTHS = {"embedding": 64, "hidden": 64}
_NINJA = {
    "context": 3,
    "embedding": 10,
    "hidden": 200,
    "layers": 1,
    "activation": "tanh",
    "batchnorm": "hidden",
    "init": "part4",
    "gain": None,
}
_WAVENET = {
    "context": 8,
    "embedding": 24,
    "hidden": 128,
    "lr_drop_at": 150_000,
    "bn_momentum": 0.1,
}
_TRANSFORMER = {"embedding": 64, "layers": 4, "heads": 4, "eps": 1e-5}

RECIPES: dict[str, dict[str, Any]] = {
    "ninja": _LECTURE | _NINJA,
    "bigram": _MAKEMORE,
    "mlp": _MAKEMORE | _WIDTHS,
    "bow": _MAKEMORE | _WIDTHS,
    "rnn": _MAKEMORE | _WIDTHS,
    "gru": _MAKEMORE | _WIDTHS,
    "lstm": _MAKEMORE | _WIDTHS,
    "transformer": _MAKEMORE | _TRANSFORMER,
    "wavenet": _LECTURE | _WAVENET,
}

# What makes a network: options that some models have and others do not.
OPTIONS = (
    "context",
    "embedding",
    "hidden",
    "layers",
    "heads",
    "activation",
    "batchnorm",
    "init",
    "gain",
    "eps",
    "ddof",
    "running_ddof",
    "bn_momentum",
)


def takes(model: str) -> tuple[str, ...]:
    """The options of a model's network."""
    return tuple(name for name in OPTIONS if name in RECIPES[model])


def filled_in(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings that depend on the model: those given, and its own for None."""
    recipe = RECIPES[model]
    return {
        name: recipe.get(name) if value is None else value
        for name, value in given.items()
        if name in recipe or name in OPTIONS
    }
