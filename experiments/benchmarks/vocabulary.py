"""linear_cross_entropy at the size of GPT-2's vocabulary: time and temporary memory."""

from typing import Any

from experiments.benchmarks.clock import take_turns
from experiments.benchmarks.rules import WAYS, called, program, sample
from jaxninja.rule import Case
from jaxninja.rules.losses.linear_cross_entropy import rule

GPT2 = Case({"N": 4096, "D": 256, "V": 50_257}, rule.bench.static)


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of forward + backward in each round, and temporary bytes."""
    given = sample(rule, GPT2, 0)
    row: dict[str, Any] = {"size": str(GPT2)}
    work = {}
    for way, function in WAYS.items():
        run = program(rule, GPT2, function(rule)).lower(*given).compile()
        row[f"{way} temporary bytes"] = run.memory_analysis().temp_size_in_bytes
        work[f"{way} both"] = called(run, given)
    row["seconds"] = take_turns(work, rounds)
    return row
