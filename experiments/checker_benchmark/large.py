"""Large arrays: `taskset -c 0 python -m experiments.checker_benchmark.large`.

Ten million entries by default, each rule in a process of its own, which has checked it
on a few rows before: what is left is the check itself, with the programs for these
sizes. The peak of memory is by Linux's own count.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import tyro

from jaxninja import check_vjp

WIDTH = 1000
Name = Literal["swish", "layernorm"]


@jax.custom_vjp
def swish(x):
    return x * jax.nn.sigmoid(x)


def swish_bwd(x, g):
    s = jax.nn.sigmoid(x)
    return (g * s * (1 + x * (1 - s)),)


swish.defvjp(lambda x: (swish(x), x), swish_bwd)


def standardized(x):
    centred = x - x.mean(-1, keepdims=True)
    rstd = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * rstd, rstd


@jax.custom_vjp
def layernorm(x, gamma, beta):
    return gamma * standardized(x)[0] + beta


def layernorm_fwd(x, gamma, beta):
    xhat, rstd = standardized(x)
    return gamma * xhat + beta, (xhat, rstd, gamma)


def layernorm_bwd(res, dy):
    xhat, rstd, gamma = res
    d = dy * gamma
    along = (d * xhat).mean(-1, keepdims=True)
    dx = rstd * (d - d.mean(-1, keepdims=True) - xhat * along)
    return dx, (dy * xhat).sum(0), dy.sum(0)


layernorm.defvjp(layernorm_fwd, layernorm_bwd)


@dataclass(frozen=True)
class Config:
    """Seconds and memory of check_vjp on large arrays.

    Attributes:
        names: which rules.
        entries: of the first argument.
    """

    names: tuple[Name, ...] = ("swish", "layernorm")
    entries: int = 10_000_000


def example(name: str, entries: int) -> tuple:
    shape = (entries,) if name == "swish" else (max(entries // WIDTH, 2), WIDTH)
    x = jax.random.normal(jax.random.key(0), shape)
    return (x,) if name == "swish" else (x, jnp.full(WIDTH, 1.1), jnp.full(WIDTH, 0.1))


def memory(kind: str) -> int:
    """Bytes that this process holds ("VmRSS"), or has held at most ("VmHWM")."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(kind)]
    return 1024 * int(line.split()[1])


def measured(name: str, entries: int) -> str:
    """A row of the table."""
    rule = {"swish": swish, "layernorm": layernorm}[name]
    check_vjp(rule, *example(name, 10), hints=False)
    args = jax.block_until_ready(example(name, entries))
    size = sum(a.nbytes for a in args)
    time.sleep(1)  # what it took to make them is given back a moment later
    Path("/proc/self/clear_refs").write_text("5")  # the most is what it is now
    before, start = memory("VmRSS"), time.perf_counter()
    verdict = check_vjp(rule, *args).verdict
    seconds = time.perf_counter() - start
    more = (memory("VmHWM") - before) / size
    return f"| {name} | {verdict} | {seconds:.1f} | {size / 1e6:.0f} | {more:.1f} |"


def main() -> None:
    config = tyro.cli(Config)
    if len(config.names) == 1:
        print(measured(config.names[0], config.entries))
        return
    print("| rule | verdict | s | arguments, MB | memory besides, of that |")
    print("|---|---|---|---|---|", flush=True)
    for name in config.names:
        given = ["--names", name, "--entries", str(config.entries)]
        command = [sys.executable, "-m", __spec__.name, *given]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
