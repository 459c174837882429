"""Rules in blocks against autodiff, JAX's own and PyTorch's: time and memory.

    taskset -c 0 python -m experiments.benchmarks.blocks [--rounds 7] [--sizes 256 1024]

Value and gradients in float32, on one core: processor time, the least of rounds in
which all take turns, as a multiple of `jax.grad` of the plain form; and the temporary
memory of XLA's program. PyTorch is left out where it is not installed.
"""

import argparse
import math
import os
from functools import partial

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.clock import least
from jaxninja.rules import manual

try:
    import torch
except ImportError:
    torch = None

HEADS, WIDTH = 4, 64
ROWS = ((4096, 768), (1024, 256))
WAYS = {"rule": "by hand", "PyTorch": "PyTorch", "jax.nn": "`jax.nn`"}
COLUMNS = ("case", "by hand, ms", *WAYS.values(), "MiB / `jax.grad`'s")
HEAD = f"| {' | '.join(COLUMNS)} |\n|---{'|---:' * (len(COLUMNS) - 1)}|"


def attention(q, k, v):
    """As anyone would write it."""
    T = q.shape[1]
    z = jnp.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
    z = jnp.where(jnp.tril(jnp.ones((T, T), bool)), z, -jnp.inf)
    return jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(z), v)


def layernorm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * gamma + beta


def rmsnorm(x, gamma):
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gamma


def in_torch(f, arrays, dy):
    tensors = [torch.tensor(np.asarray(a)).requires_grad_() for a in arrays]
    dy = torch.tensor(np.asarray(dy))
    return lambda: torch.autograd.grad(f(*tensors), tensors, dy)


def torch_attention(q, k, v):
    heads_first = (a.transpose(1, 2) for a in (q, k, v))
    sdpa = torch.nn.functional.scaled_dot_product_attention
    return sdpa(*heads_first, is_causal=True).transpose(1, 2)


def programs(fs, arrays, dy):
    """Name -> (call, temporary bytes) of value and gradients."""

    def made(f):
        def both(arrays, dy):
            y, pull = jax.vjp(f, *arrays)
            return y, pull(dy)

        run = jax.jit(both).lower(arrays, dy).compile()
        call = lambda: jax.block_until_ready(run(arrays, dy))  # noqa: E731
        return call, run.memory_analysis().temp_size_in_bytes

    return {name: made(f) for name, f in fs.items()}


def compare(title, fs, peer, arrays, rounds):
    """Print a row: times over those of `jax.grad`, memory beside its."""
    dy = jax.random.normal(jax.random.key(9), arrays[0].shape)
    made = programs(fs, arrays, dy)
    calls = {name: call for name, (call, _) in made.items()}
    if torch is not None:
        calls["PyTorch"] = in_torch(peer, arrays, dy)
    seconds = least(calls, rounds)
    base, base_bytes = seconds["jax.grad"], made["jax.grad"][1]
    cells = [f"{1e3 * seconds['rule']:.2f}"]
    for name in WAYS:
        cells.append(f"{seconds[name] / base:.2f}" if name in seconds else "")
    cells.append(" / ".join(f"{b / 2**20:.2f}" for b in (made["rule"][1], base_bytes)))
    print(f"| {' | '.join([title, *cells])} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 1024, 2048, 4096])
    options = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(1)
    keys = jax.random.split(jax.random.key(0), 3)
    print(HEAD)
    for T in options.sizes:
        arrays = [jax.random.normal(key, (1, T, HEADS, WIDTH)) for key in keys]
        library = partial(jax.nn.dot_product_attention, is_causal=True)
        fs = {"jax.grad": attention, "rule": manual.attention, "jax.nn": library}
        compare(f"attention, T {T:,}", fs, torch_attention, arrays, options.rounds)
    for N, D in ROWS:
        normal = zip(keys, ((N, D), (D,), (D,)), strict=True)
        arrays = [jax.random.normal(*pair) for pair in normal]
        fs = {"jax.grad": layernorm, "rule": manual.layernorm}
        peer = lambda x, *w: torch.nn.functional.layer_norm(x, w[0].shape, *w)  # noqa: E731
        compare(f"layernorm, {N:,} x {D}", fs, peer, arrays, options.rounds)
        fs = {"jax.grad": rmsnorm, "rule": manual.rmsnorm}
        peer = lambda x, g: torch.nn.functional.rms_norm(x, g.shape, g, 1e-6)  # noqa: E731
        compare(f"rmsnorm, {N:,} x {D}", fs, peer, arrays[:2], options.rounds)


if __name__ == "__main__":
    main()
