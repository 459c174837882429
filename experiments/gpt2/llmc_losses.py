"""llm.c's ten losses: OpenAI's GPT-2 of 124M on one batch of tiny Shakespeare.

    python -m experiments.gpt2.llmc_losses PATH [--tokens tiny_shakespeare_val.bin]

PATH is OpenAI's model as safetensors (a file, or a folder with model.safetensors), as
transformers has it. The batch is the first 4 x 64 tokens of llm.c's validation file, or
made as llm.c makes it, an end-of-text before each section, from tiny Shakespeare, which
is downloaded, and `jaxninja[gpt2]`. AdamW 1e-4 with decay 0.01 on all parameters.

Untried: OpenAI's weights could not be had where this was written. It has run with
random weights only. Ends with exit code 1 if a loss is further than 1e-2 from llm.c's.
"""

import argparse
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxninja.data import token_files
from jaxninja.data.download import tinyshakespeare
from jaxninja.data.tokenizers import GPT2, tokenizer
from jaxninja.errors import UserError
from jaxninja.models.by_hand import gpt2 as by_hand
from jaxninja.models.language import gpt2_weights
from jaxninja.storage import weights

LLMC = (
    *(5.270007, 4.059707, 3.375123, 2.800783, 2.315382),
    *(1.849029, 1.394656, 0.999147, 0.624080, 0.376511),
)
B, T = 4, 64


def first_tokens(path):
    """The first B T + 1 tokens of llm.c's validation part."""
    if path is not None:
        return token_files.read(path)[: B * T + 1]
    by = tokenizer("gpt2")
    first, *sections = tinyshakespeare().read_text(encoding="utf-8").split("\n\n")
    ids = [GPT2 - 1, *by.encode(first + "\n\n")]
    for section in sections:
        ids += [GPT2 - 1, *by.encode(section + "\n\n")]
        if len(ids) > B * T:
            break
    return np.array(ids[: B * T + 1])


def losses(params, model, tokens):
    """Before each of ten steps on the same batch."""
    ids = jnp.array(tokens[:-1].reshape(B, T), jnp.int32)
    labels = jnp.array(tokens[1:].reshape(B, T), jnp.int32)
    update = optax.adamw(1e-4, weight_decay=0.01)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state):
        (loss, _), grads = by_hand.value_and_grad(params, ids, labels, model)
        moves, state = update.update(grads, state, params)
        return optax.apply_updates(params, moves), state, loss

    params = jax.tree.map(jnp.array, params)
    state = update.init(params)
    for _ in LLMC:
        params, state, loss = step(params, state)
        yield float(loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path")
    parser.add_argument("--tokens")
    options = parser.parse_args()
    try:
        tensors, config = weights.load(options.path)
        model = gpt2_weights.sizes(tensors, config)
        params = gpt2_weights.imported(tensors, model)
        tokens = first_tokens(options.tokens)
    except UserError as error:
        sys.exit(f"llmc_losses: {error}")
    worst = 0.0
    for loss, expected in zip(losses(params, model, tokens), LLMC, strict=True):
        worst = max(worst, abs(loss - expected))
        print(f"  by hand {loss:.6f}  llm.c {expected:.6f}  {loss - expected:+.1e}")
    print(f"apart by {worst:.1e} at most, expected 1e-2")
    sys.exit(worst > 1e-2)


if __name__ == "__main__":
    main()
