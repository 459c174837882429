"""What a step of GPT-2 holds besides parameters and gradients: XLA's own account.

    taskset -c 0 python -m experiments.gpt2.memory [--size gpt2] [--batch 4]
        [--tokens 1024] [--rounds 3]

Compiles loss and gradient by `jax.grad` and by hand, and runs nothing: the temporary
memory of each program, and the seconds of the processor that compiling took, the least
of rounds in which all take turns.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp

from experiments.gpt2 import plain
from jaxninja.models import gpt2
from jaxninja.models.by_hand import gpt2 as by_hand


def programs(model):
    """Name -> function of params, ids and labels."""
    found = {
        f"jax.grad, {form}": jax.value_and_grad(
            partial(plain.loss, model=model, form=form)
        )
        for form in ("scan", "scan and checkpoint")
    }
    for keep in gpt2.RESIDUALS:
        kept = replace(model, residuals=keep)
        found[f"by hand, {keep}"] = partial(by_hand.value_and_grad, model=kept)
    return found


def compiled(f, model, batch, tokens):
    """Temporary bytes of the program of f, and seconds of the processor to compile."""
    params = jax.eval_shape(lambda: gpt2.init(jax.random.key(0), model))
    ids = jax.ShapeDtypeStruct((batch, tokens), jnp.int32)
    jax.clear_caches()  # what an earlier turn has traced
    start = time.process_time()
    program = jax.jit(f).lower(params, ids, ids).compile()
    seconds = time.process_time() - start
    return program.memory_analysis().temp_size_in_bytes, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="gpt2", choices=gpt2.SIZES)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model, least = gpt2.SIZES[options.size], {}
    for _ in range(options.rounds):
        for name, f in programs(model).items():
            found = compiled(f, model, options.batch, options.tokens)
            least[name] = min(least.get(name, found), found)  # sizes are equal
    print("| loss and gradient by | MiB | compiled in, s |\n|---|---:|---:|")
    for name, (size, seconds) in least.items():
        print(f"| {name} | {size / 2**20:,.0f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
