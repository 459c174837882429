"""`jaxninja rules`: the catalogue, with what each rule keeps for its backward pass."""

import math
from dataclasses import dataclass

import jax
import tyro

from jaxninja.rule import Rule
from jaxninja.rules import RULES


@dataclass(frozen=True)
class Rules:
    """List every rule: shapes and residual bytes at its benchmark size, source."""


def main(args: list[str]) -> int:
    tyro.cli(Rules, prog="jaxninja rules", args=args)
    print(
        "residuals: bytes kept from forward to backward; autodiff's of the same forward"
    )
    for rule in RULES:
        inputs = ", ".join(map(_shape, _example(rule)))
        mine, theirs = residual_bytes(rule)
        print(f"\n{rule.name}({', '.join(rule.arguments)})")
        print(f"  inputs     {inputs}  (static: {rule.bench.static or 'none'})")
        print(f"  residuals  {mine:,} B; autodiff {theirs:,} B")
        print(f"  source     {rule.source}")
    print("\n`jaxninja show RULE` prints derivation, forward and backward.")
    return 0


def residual_bytes(rule: Rule) -> tuple[int, int]:
    """Bytes kept by the rule and by `jax.vjp` of its reference; nothing is computed."""
    inputs, static = _example(rule), rule.bench.static

    def pullback(*arrays):
        return jax.vjp(lambda *a: rule.reference(*a, *static), *arrays)[1]

    mine = jax.eval_shape(lambda *a: rule.fwd(*a, *static)[1], *inputs)
    return _bytes(mine), _bytes(jax.eval_shape(pullback, *inputs))


def _example(rule: Rule) -> tuple:
    return jax.eval_shape(lambda: rule.example(jax.random.key(0), **rule.bench.dims))


def _bytes(tree) -> int:
    return sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(tree))


def _shape(array) -> str:
    return f"{array.dtype}{list(array.shape)}"
