"""Options that would change nothing, since another option has no use for them."""

from pathlib import Path
from typing import Any

from jaxninja.data.tokenizers import files_in
from jaxninja.training.options.recipes import RECIPES

# option -> the optimizers that heed it
HEEDED = {"beta2": ("adam", "adamw"), "weight_decay": ("adamw",)}
DEFAULT = 0.1  # of both factors of the learning rate
# factor -> the option that says when it holds, and that option's value for never
NEEDED = (("lr_drop", "lr_drop_at", None), ("lr_last", "cosine", 0))


def without_effect(config: Any) -> dict[str, tuple[bool, str]]:
    """Fields that were given in vain, as requirements that do not hold.

    The model's own value is not one that was given, and 0 is as good as none.
    """
    own, table = RECIPES[config.model], {}
    for name, optimizers in HEEDED.items():
        vain = getattr(config, name) not in (own[name], 0)
        if vain and config.optimizer not in optimizers:
            heeding = " and ".join(optimizers)
            expected = f"the default, {own[name]}: optimizer {config.optimizer} does "
            table[name] = (False, f"{expected}not heed it, only {heeding}")
    for name, needed, none in NEEDED:
        vain = getattr(config, name) != DEFAULT and getattr(config, needed) == none
        if vain:
            expected = f"the default, {DEFAULT}: without a {needed} nothing heeds it"
            table[name] = (False, expected)
    if config.tokenizer_files is not None and config.tokenizer != "gpt2":
        expected = f"none: tokenizer {config.tokenizer} has no files, only gpt2 has"
        table["tokenizer_files"] = (False, expected)
    elif config.tokenizer_files is not None:
        expected = "a folder with encoder.json and vocab.bpe, or the same as "
        found = files_in(Path(config.tokenizer_files)) is not None
        table["tokenizer_files"] = (found, f"{expected}vocab.json and merges.txt")
    return table
