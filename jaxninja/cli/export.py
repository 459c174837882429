"""`jaxninja export RUN`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.choices import RunFolder
from jaxninja.data.text import DataError
from jaxninja.data.tokenizers import Pairs
from jaxninja.escaping import printable
from jaxninja.models import network
from jaxninja.storage import weights
from jaxninja.training.runs.descriptions import RunError
from jaxninja.training.runs.initial import tokens_of
from jaxninja.training.runs.loading import load


@dataclass(frozen=True)
class Export:
    """Write the weights of a GPT-2 run as Hugging Face's library transformers reads it.

    A folder with model.safetensors and config.json, which `--init-from` reads as well
    as `transformers.GPT2LMHeadModel.from_pretrained(FOLDER)`. Of tokenizer gpt2 the two
    files of its vocabulary too, where they are there, for `transformers.GPT2Tokenizer`.

    Example: jaxninja export runs/tinyshakespeare-gpt2-network-1 --out my-gpt2
    """

    run: RunFolder
    """The run folder, as `jaxninja train` names it."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The folder, made if it is missing; by default `exported` in the run's."""
    at: Literal["last", "best"] = "last"
    """The last checkpoint, or the one of the least validation loss."""


def main(args: list[str]) -> int:
    options = parsed(Export, "export", args)
    run = load(options.run, options.at)
    language = network.page(run.model).language
    if language is None:
        known = [name for name, page in network.PAGES.items() if page.language]
        raise RunError(
            f"{run.path} is of model {run.config.model}, expected {', '.join(known)}: "
            "of no other do others read the weights"
        )
    out = Path(options.out) if options.out else run.path / "exported"
    tensors = language.weights.exported(run.params, run.model)
    described = language.weights.config(run.model) | tokens_of(run.vocabulary)
    weights.save(out, tensors, described)
    names = [weights.TENSORS, weights.CONFIG]
    missing = None
    if isinstance(run.vocabulary, Pairs):
        try:
            names += run.vocabulary.save(out)
        except DataError as error:
            missing = f"without vocab.json and merges.txt: {error}"
    size = sum(tensor.nbytes for tensor in tensors.values()) / 1e6
    print(f"{run.path} at step {run.step:,}: {len(tensors)} tensors, {size:,.1f} MB")
    print(f"written    {printable(str(out))}/: {', '.join(names)}")
    if missing:
        print(missing)
    return 0
