"""What the benchmark does: units of work, each a subject and its checkers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import jax

from experiments.checker_benchmark import bank, field_bugs, mutants, ours
from experiments.checker_benchmark.peers import PEERS

SCALES = (1e-2, 1e-1, 1.0, 1e1, 1e2)


@dataclass(frozen=True)
class Unit:
    """All checks of one kind on one subject: they share what is compiled.

    Attributes:
        kind: "clean", "mutant" or "field".
        subject: name of a rule of the bank, or of a field bug.
        checkers: "check_vjp" or names in PEERS.
        level: of check_vjp.
        seeds: how many seeds a clean rule is checked with.
        limit: how many mutants of the rule at most; 0 is all.
        operators: only mutants by these; all if there are none.
    """

    kind: str
    subject: str
    checkers: tuple[str, ...]
    level: str
    seeds: int
    limit: int
    operators: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        parts = (self.kind, self.subject, "+".join(self.checkers), self.level)
        numbers = (str(self.seeds), str(self.limit))
        return "|".join((*parts, *numbers, *self.operators))


def units(config, checkers) -> list[Unit]:
    """All units of a run, the subjects in the order of the bank."""
    rules, bugs = bank.half(config.half), field_bugs.half(config.half)
    limit = -(-config.limit // len(rules)) if config.limit else 0
    subjects = {
        "mutant": [rule.name for rule in rules],
        "field": [bug.name for bug in bugs],
        "clean": [rule.name for rule in rules],
    }
    return [
        Unit(
            *(kind, subject, tuple(checkers), config.level, config.seeds, limit),
            operators=config.operators,
        )
        for kind in config.kinds
        for subject in subjects[kind]
    ]


def work(unit: Unit) -> list[dict]:
    """Do a unit; the last record says that it is complete."""
    start = time.perf_counter()
    records = [{"unit": unit.key, **record} for record in _WORK[unit.kind](unit)]
    jax.clear_caches()
    done = {"unit": unit.key, "kind": "done", "count": len(records)}
    return [*records, {**done, "seconds": time.perf_counter() - start}]


def checks(unit: Unit, rule, seed: int, scale: float = 1.0) -> Iterator[dict]:
    """The rule by each checker of the unit; in float32 unless a peer's name says 64."""
    for name in unit.checkers:
        if name == ours.NAME:
            subject = rule if scale == 1 else ours.scaled(rule, scale)
            yield {"checker": name, **ours.run(subject, seed, unit.level)}
        else:
            start = time.perf_counter()
            verdict = PEERS[name](rule, seed, scale)
            seconds = time.perf_counter() - start
            yield {"checker": name, "verdict": verdict, "seconds": seconds}


def _mutants(unit: Unit) -> Iterator[dict]:
    rule = bank.BY_NAME[unit.subject]
    found, census = chosen(rule, unit.limit)
    yield {"kind": "census", "rule": rule.name, "census": census}
    for number, mutant in enumerate(found):
        if unit.operators and mutant.operator not in unit.operators:
            continue
        about = {
            "kind": "mutant",
            "rule": rule.name,
            "name": mutant.name,
            "operator": mutant.operator,
            "truths": sorted(mutant.truths),
            "lines": sorted(mutant.lines),
            "double": mutant.double,
            "order": mutant.order,
        }
        yield from ({**about, **c} for c in checks(unit, mutant.broken(), number))


def chosen(rule, limit: int) -> tuple[list, dict[str, int]]:
    """The mutants of a rule; and, of all of them, how many candidates became what."""
    if limit:
        return mutants.subset([rule], limit, seed=sum(map(ord, rule.name))), {}
    verdicts = [(m, mutants.classify(m)) for m in mutants.candidates(rule)]
    census: dict[str, int] = {}
    for _, verdict in verdicts:
        census[verdict] = census.get(verdict, 0) + 1
    return [m for m, verdict in verdicts if verdict == "mutant"], census


def _field(unit: Unit) -> Iterator[dict]:
    bug = field_bugs.BY_NAME[unit.subject]
    about = {
        "kind": "field",
        "name": bug.name,
        "class": bug.kind,
        "level": bug.level,
        "truths": [bug.truth],
    }
    yield from ({**about, **c} for c in checks(unit, bug.rule, seed=5))


def _clean(unit: Unit) -> Iterator[dict]:
    """Seeds and scales; check_vjp also in bfloat16, which no peer can do."""
    rule = bank.BY_NAME[unit.subject]
    for seed, scale in product(range(unit.seeds), SCALES):
        about = {"kind": "clean", "rule": rule.name, "seed": seed, "scale": scale}
        for c in checks(unit, rule, seed, scale):
            yield {**about, "dtype": "float32", **c}
        if ours.NAME in unit.checkers:
            half = ours.run(ours.scaled(rule, scale), seed, unit.level, "bfloat16")
            yield {**about, "dtype": "bfloat16", "checker": ours.NAME, **half}


_WORK = {"mutant": _mutants, "field": _field, "clean": _clean}
