"""The state of a run at step 0: drawn, or with the weights of a file."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.data.text import Vocabulary
from jaxninja.data.tokenizers import ENDING, Tokenizer
from jaxninja.errors import UserError
from jaxninja.models import network
from jaxninja.storage import weights
from jaxninja.storage.weights import WeightsFileError
from jaxninja.training import steps
from jaxninja.training.config import ConfigError, TrainConfig

SIZES = ("layers", "heads", "embedding", "eps")  # that the weights of a file decide
TOKENIZER = "jaxninja_tokenizer"  # in config.json, which others read past


def initial_state(
    config: TrainConfig, vocabulary: Vocabulary | Tokenizer
) -> steps.State:
    """What the first step begins with.

    Raises:
        ConfigError: the weights of `init_from` are of other sizes or another text.
        WeightsFileError: they cannot be read, or are not the model's.
    """
    model = config.network(len(vocabulary))
    state = steps.init_state(config, model)
    if config.init_from is None:
        return state
    language = network.page(model).language
    assert language is not None
    _expect_no_run(Path(config.init_from))
    tensors, beside = weights.load(config.init_from)
    with _naming(config.init_from):
        found = language.weights.sizes(tensors, beside)
    expect_sizes(config, model, found)
    _expect_tokenizer(config, vocabulary, beside)
    with _naming(config.init_from):
        params = language.weights.imported(tensors, model)
    kinds = {name: a.dtype for name, a in state.params.items()}
    placed = {name: jnp.asarray(a, kinds[name]) for name, a in params.items()}
    return state._replace(params=jax.block_until_ready(placed))


def tokens_of(tokenizer: Any) -> dict[str, Any]:
    """What config.json says of the tokens of an export.

    Ours, and which token ends a text: others take 50,256 where nothing is said, which
    a smaller vocabulary does not have.
    """
    end = ENDING if tokenizer.name == "gpt2" else None
    own = {"name": tokenizer.name, "symbols": tokenizer.symbols}
    return {TOKENIZER: own, "bos_token_id": end, "eos_token_id": end}


def _expect_no_run(path: Path) -> None:
    """Refuse a run's folder, or a checkpoint of one, where its export was meant."""
    run = path.parent.parent if path.parent.name == "checkpoints" else path
    if (run / "checkpoints").is_dir() and not (path / weights.TENSORS).exists():
        raise ConfigError(
            f"init_from is {path}, a run's own form of its weights; "
            f"`jaxninja export {shlex.quote(str(run))}` writes that which is read here"
        )


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """What is wrong with weights, told with their file."""
    try:
        yield
    except UserError as error:
        raise WeightsFileError(f"{path}: {error}") from None


def _expect_tokenizer(
    config: TrainConfig, tokenizer: Any, beside: Mapping[str, Any]
) -> None:
    """Refuse an export whose tokens are others; weights of others do not say it."""
    own = tokens_of(tokenizer)[TOKENIZER]
    if beside.get(TOKENIZER, own) != own:
        raise ConfigError(
            f"init_from is {config.init_from}, weights of other tokens than those of "
            f"tokenizer {config.tokenizer} for {config.data}; pass the --tokenizer "
            "that they were trained with, and of char a text of the same characters"
        )


def expect_sizes(config: TrainConfig, model: Any, found: Any) -> None:
    """Refuse weights of another network than the configuration's, and say whose.

    Raises:
        ConfigError: names what differs, and the options that suit the weights.
    """
    if found.vocabulary != model.vocabulary:
        raise ConfigError(
            f"init_from is of {found.vocabulary:,} tokens, but tokenizer "
            f"{config.tokenizer} has {model.vocabulary:,} for {config.data}; pass the "
            "--tokenizer that the weights were trained with"
        )
    differ = [name for name in SIZES if getattr(found, name) != getattr(model, name)]
    longer = model.context > found.context
    if differ or longer:
        names = [*SIZES, "context"] if longer else SIZES
        options = " ".join(f"--{name} {getattr(found, name)}" for name in names)
        raise ConfigError(
            f"init_from is {config.init_from}, weights of another network than the "
            f"one given: pass {options}"
        )
