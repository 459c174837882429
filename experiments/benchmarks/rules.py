"""Each rule against `jax.grad` of its plain form, at its benchmark size."""

import time
from collections.abc import Callable
from typing import Any

import jax

from experiments.benchmarks.clock import TURN, take_turns
from jaxninja.cli.rules import residual_bytes
from jaxninja.rule import Case, Rule
from jaxninja.rules import RULES
from jaxninja.rules.losses.linear_cross_entropy import rule as on_logits

ROUNDS, SHORT = 10, TURN / 5  # more rounds, shorter turns: these differ by per cents
GPT2 = Case({"N": 4096, "D": 256, "V": 50_257}, on_logits.bench.static)


def measure(rounds: int) -> dict[str, Any]:
    """Rule -> seconds of forward and of forward + backward, bytes, equations."""
    rounds *= ROUNDS
    return {rule.name: one_rule(rule, rule.bench, rounds, SHORT) for rule in RULES}


def measure_gpt2(rounds: int) -> dict[str, Any]:
    """linear_cross_entropy at the size of GPT-2's vocabulary."""
    return one_rule(on_logits, GPT2, rounds, forward=False)


def one_rule(
    rule: Rule, case: Case, rounds: int, turn: float = TURN, forward: bool = True
) -> dict:
    arrays = rule.example(jax.random.key(0), **case.dims)
    out = jax.eval_shape(lambda *a: rule.op(*rule.arranged(a, case.static)), *arrays)
    dy = jax.random.normal(jax.random.key(1), out.shape, out.dtype)
    row: dict[str, Any] = {"size": str(case)}
    programs = {}
    for who, op in (("rule", rule.op), ("autodiff", rule.reference)):
        plain, both = _functions(lambda *a, op=op: op(*rule.arranged(a, case.static)))
        if forward:
            programs[f"{who} forward"] = _compiled(plain, arrays)[0]
        program, seconds = _compiled(both, (arrays, dy))
        programs[f"{who} both"] = program
        row[f"{who} compile seconds"] = seconds
        row[f"{who} temporary bytes"] = program.memory_analysis().temp_size_in_bytes
        row[f"{who} equations"] = _equations(jax.make_jaxpr(both)(arrays, dy).jaxpr)
    row["rule residual bytes"], row["autodiff residual bytes"] = residual_bytes(rule)
    arguments = {k: arrays if "forward" in k else (arrays, dy) for k in programs}
    work = {k: _repeat(p, arguments[k]) for k, p in programs.items()}
    row["seconds"] = take_turns(work, rounds, turn)
    return row


def _functions(forward: Callable) -> tuple[Callable, Callable]:
    def both(arrays, dy):
        y, pull = jax.vjp(forward, *arrays)
        return y, [d for d in pull(dy) if d.dtype != jax.dtypes.float0]

    return forward, both


def _compiled(f, arguments) -> tuple[Any, float]:
    lowered = jax.jit(f).lower(*arguments)
    start = time.perf_counter()
    program = lowered.compile()
    return program, time.perf_counter() - start


def _repeat(program, arguments) -> Callable[[int], None]:
    def work(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(program(*arguments))

    return work


def _equations(jaxpr) -> int:
    """Of a jaxpr and all jaxprs within it."""
    total = 0
    for eqn in jaxpr.eqns:
        total += 1
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(value):
                total += _equations(getattr(value, "jaxpr", value))
    return total


def _is_jaxpr(value) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")
