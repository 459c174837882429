"""How long a check takes: `python -m experiments.checker_benchmark.times --help`.

Cold is a first check of a rule in a process that has checked another one already: what
`jax.clear_caches()` leaves is the imports, so the compilation of every first shape
counts. Warm is the median of further checks with other seeds. The hint is the part of
such a check that looks for one, on the rule with the sign of its gradients wrong.
"""

import inspect
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from unittest.mock import patch

import jax
import tyro

from experiments.checker_benchmark import bank
from jaxninja.check import check_vjp, checker
from jaxninja.check.diagnosis.failing_samples import hints_for
from jaxninja.rule import Rule
from jaxninja.rules import RULES

TARGETS = {"cold": 3.0, "quick": 0.05, "standard": 0.5, "full": 10.0, "hint": 0.05}
COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclass(frozen=True)
class Config:
    """Times of check_vjp, a row a rule.

    Attributes:
        half: rules of the bank; those of the library come with each of them.
        names: only these rules; all by default.
        what: which times. "full" first compiles the transformations, which takes long.
        repeats: warm checks, of which the median counts.
    """

    half: Literal["tuning", "reporting", "all"] = "tuning"
    names: tuple[str, ...] = ()
    what: tuple[Literal["cold", "quick", "standard", "full", "hint"], ...] = (
        *("cold", "quick", "standard", "hint"),
    )
    repeats: int = 3


def main() -> None:
    config = tyro.cli(Config)
    rules = chosen(config)
    compilations: list[float] = []
    listen(compilations)
    check_vjp(RULES[3])  # another one, so that imports are not counted
    rows = {}
    for name, rule in rules.items():
        rows[name], count = timed(rule, config, compilations)
        parts = [f"{kind} {duration:.3f}" for kind, duration in rows[name].items()]
        print(f"{name:24s} {'  '.join(parts)}   {count} compiled", flush=True)
    print("\n" + markdown(rows))


def chosen(config: Config) -> dict[str, Rule]:
    """By name; a rule of the library and one of the bank may share theirs."""
    found = {f"jaxninja {rule.name}": rule for rule in RULES}
    found |= {rule.name: rule for rule in bank.half(config.half)}
    unknown = set(config.names) - set(found)
    if unknown:
        raise SystemExit(f"--names {sorted(unknown)} unknown; there are {list(found)}")
    return {name: found[name] for name in config.names or found}


def listen(compilations: list[float]) -> None:
    """Note the seconds of each compilation from here on."""

    def note(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == COMPILED:
            compilations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(note)


def timed(rule: Rule, config: Config, compilations: list) -> tuple[dict, int]:
    """Seconds of each kind that was asked for; how many programs the cold check
    compiled."""
    times = {}
    jax.clear_caches()
    del compilations[:]
    first, count = seconds(lambda: check_vjp(rule)), len(compilations)
    if "cold" in config.what:
        times["cold"] = first
    for level in ("quick", "standard", "full"):
        if level in config.what:
            check_vjp(rule, level=level)
            times[level] = _warm(rule, config, level=level)
    if "hint" in config.what:
        times["hint"] = _hint(negated(rule), config)
    return times, count


def _warm(rule: Rule, config: Config, **options) -> float:
    return statistics.median(
        seconds(lambda s=seed: check_vjp(rule, seed=s, **options))
        for seed in range(1, config.repeats + 1)
    )


def _hint(wrong: Rule, config: Config) -> float:
    """Seconds of the search within a warm check of a wrong rule."""
    times: list[float] = []

    def noted(session):
        start = time.perf_counter()
        found = hints_for(session)
        times.append(time.perf_counter() - start)
        return found

    with patch.object(checker, "hints_for", noted):
        check_vjp(wrong)
        del times[:]
        _warm(wrong, config)
    return statistics.median(times)


def seconds(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def negated(rule: Rule) -> Rule:
    """The rule with the sign of all its gradients wrong."""

    def bwd(*given):
        return jax.tree.map(lambda a: -a, rule.bwd(*given))

    static = getattr(rule.op, "nondiff_argnums", ())
    op = jax.custom_vjp(inspect.unwrap(rule.op), nondiff_argnums=static)
    op.defvjp(rule.fwd, bwd)
    return replace(rule, op=op, bwd=bwd)


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """A line a kind: median, largest with the rule's name, and how many are in time."""
    lines = ["| time of a check | target | median | largest | in time |"]
    lines += ["|---" * 5 + "|"]
    for kind in dict.fromkeys(k for row in rows.values() for k in row):
        values = {name: row[kind] for name, row in rows.items() if kind in row}
        lines.append(_line(kind, values))
    return "\n".join(lines)


def _line(kind: str, values: dict[str, float]) -> str:
    worst = max(values, key=lambda name: values[name])
    within = sum(value <= TARGETS[kind] for value in values.values())
    middle = statistics.median(values.values())
    return (
        f"| {kind} | {TARGETS[kind]:g} s | {middle:.2g} s | {values[worst]:.2g} s "
        f"({worst}) | {within} of {len(values)} |"
    )


if __name__ == "__main__":
    main()
