"""What each model is trained with when nothing else is said.

A recipe names every setting that depends on the model. A model takes the options that
its recipe names and no others of OPTIONS; None is for what the data decide (a context
as long as the longest item, and one for its start) or what is left out (no drop of the
learning rate). A value that follows from others is a function of them. Those of the
sequence models are makemore.py's, that of `wavenet` is the fifth lecture's, that of
`ninja` the fourth's, and that of `gpt2` nanoGPT's.
"""

from collections.abc import Callable
from typing import Any

from jaxninja.errors import did_you_mean
from jaxninja.models.gpt2 import SIZES

_COMMON = {
    "data": "names",
    "batch_size": 32,
    "weight_decay": 0.01,
    "clip": None,
    "warmup": 0,
    "cosine": 0,
    "log_every": 1_000,
    "eval_every": 10_000,
    "checkpoint_every": 10_000,
    "diagnose": 1_000,
    "samples": 20,
}
_LECTURE = _COMMON | {
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
_MAKEMORE = _COMMON | {
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


def _of_size(name: str) -> Callable[[dict[str, Any]], int]:
    """A field of the size that is called by its name; of an unknown one of gpt2's."""
    return lambda given: getattr(SIZES.get(given["size"], SIZES["gpt2"]), name)


_GPT2 = {
    "data": "tinyshakespeare",
    "tokenizer": "byte",
    "tokenizer_files": None,
    "init_from": None,
    "size": "gpt2",
    **{name: _of_size(name) for name in ("context", "embedding", "layers", "heads")},
    "multiple": 1,
    "residuals": "10C",
    "eps": 1e-5,
    "batch_size": 12,
    "steps": 2_000,
    "optimizer": "adamw",
    "lr": 6e-4,
    "lr_drop_at": None,
    "warmup": lambda given: min(100, given["steps"] // 2),
    "cosine": lambda given: given["steps"],
    "beta2": 0.99,
    "weight_decay": 0.1,
    "clip": 1.0,
    "log_every": 100,
    "eval_every": 500,
    "checkpoint_every": 500,
    "diagnose": 500,
    "samples": 1,
    "length": 500,
}

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
    "gpt2": _GPT2,
}

# Options that some models have and others do not.
OPTIONS = (
    "split",
    "tokenizer",
    "tokenizer_files",
    "init_from",
    "size",
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
    "multiple",
    "residuals",
    "length",
)


def known_model(name: str) -> tuple[bool, str]:
    """Is it one of these, and what was expected?"""
    hint = did_you_mean(name, RECIPES)
    if name in SIZES:
        hint = f"; that is a size of gpt2: --model gpt2 --size {name}"
    return name in RECIPES, f"one of {', '.join(RECIPES)}{hint}"


def takes(model: str) -> tuple[str, ...]:
    """The options that a model has and others may not have."""
    return tuple(name for name in OPTIONS if name in RECIPES[model])


def filled_in(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings that depend on the model: those given, and its own for None."""
    recipe = RECIPES[model]
    filled = {
        name: recipe.get(name) if value is None else value
        for name, value in given.items()
        if name in recipe or name in OPTIONS
    }
    follow = {name: value for name, value in filled.items() if callable(value)}
    return filled | {name: value(filled) for name, value in follow.items()}
