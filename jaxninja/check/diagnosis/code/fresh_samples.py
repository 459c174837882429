"""A sample that was not looked at, to verify an explanation on."""

from collections.abc import Iterator
from dataclasses import replace

from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.evidence import Evidence, Sample

TRIES = 8
SEED = 7919  # of the fresh sample; the checker's own samples have small seeds


def unseen(problem: Problem, evidence: Evidence) -> Problem:
    """A sample that was not looked at, on which the same leaves are wrong if any is."""
    for seed in range(SEED, SEED + TRIES):
        fresh = problem.on(evidence.resample(seed))
        if problem.wrong <= fresh.wrong:
            return fresh
    others = _of_the_edge(problem, evidence) if problem.sample.edge else ()
    edges = (problem.on(sample) for sample in others)
    # pyrefly: ignore[unbound-name]  TRIES is not 0
    return next((edge for edge in edges if problem.wrong <= edge.wrong), fresh)


def _of_the_edge(problem: Problem, evidence: Evidence) -> Iterator[Sample]:
    """Others of the edge at which alone it is wrong."""
    if (alike := evidence.alike) is not None:
        for seed in range(SEED, SEED + TRIES):
            try:
                yield replace(alike(problem.sample, seed), edge=True)
            except Exception:  # a forward that is not finite there
                continue
    yield from (s for s in evidence.samples if s is not problem.sample)
