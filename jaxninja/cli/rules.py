"""`jaxninja rules`: the catalogue, with what each rule keeps for its backward pass."""

from dataclasses import dataclass

import jax

from jaxninja.check.subject.residuals import bench_arrays, residual_bytes
from jaxninja.cli.process.arguments import parsed
from jaxninja.rule import shown
from jaxninja.rules import RULES


@dataclass(frozen=True)
class Rules:
    """List every rule: shapes and residual bytes at its benchmark size, source.

    Example: jaxninja rules
    """


def main(args: list[str]) -> int:
    parsed(Rules, "rules", args)
    print(
        "residuals: bytes kept from forward to backward; autodiff's of the same forward"
    )
    for rule in RULES:
        inputs = ", ".join(map(_shape, jax.tree.leaves(bench_arrays(rule))))
        static = ", ".join(map(shown, rule.bench.static)) or "none"
        mine, theirs = residual_bytes(rule)
        print(f"\n{rule.name}({', '.join(rule.arguments)})")
        print(f"  inputs     {inputs}  (static: {static})")
        print(f"  residuals  {mine:,} B; autodiff {theirs:,} B")
        print(f"  source     {rule.source}")
    print("\n`jaxninja show RULE` prints derivation, forward and backward.")
    return 0


def _shape(array) -> str:
    return f"{array.dtype}{list(array.shape)}"
