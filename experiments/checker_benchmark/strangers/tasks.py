"""Checks of the strangers: each twin once, with its right rule; right rules often."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.ours import names_of
from experiments.checker_benchmark.strangers import half
from experiments.checker_benchmark.strangers.record import Stranger

LIMIT = 120  # seconds for one check


@dataclass(frozen=True)
class Unit:
    """All checks of one kind on one case: they share what is compiled.

    Attributes:
        half: one of `HALVES`.
        name: of the case.
        kind: "twins", with the right rule first, or "clean".
        seeds: of the clean checks, first and last but one.
        level: of the right rules; a twin has its own.
    """

    half: str
    name: str
    kind: str
    seeds: tuple[int, int] = (0, 1)
    level: str = "standard"

    @property
    def key(self) -> str:
        first, last = self.seeds
        return "|".join(
            (self.half, self.name, self.kind, f"{first}-{last}", self.level)
        )


def work(unit: Unit) -> list[dict]:
    """Do a unit; the last record says that it is complete."""
    start = time.perf_counter()
    (case,) = [c for c in half(unit.half) if c.name == unit.name]
    checks = {"twins": twins, "clean": clean}[unit.kind](case, unit)
    about = {"unit": unit.key, "half": unit.half, "name": case.name}
    records = [{**about, "case": case.kind, **record} for record in checks]
    jax.clear_caches()
    done = {**about, "kind": "done", "count": len(records)}
    return [*records, {**done, "seconds": time.perf_counter() - start}]


def twins(case: Stranger, unit: Unit) -> Iterator[dict]:
    """The right rule and each wrong twin, as a user would check them."""
    for level in sorted({"standard", *(t.level for t in case.twins)}):
        yield {"kind": "right", "level": level, **check(case, "", level)}
    for twin in case.twins:
        about = {"kind": "twin", "slip": twin.slip, "level": twin.level}
        told = {"truths": twin.truth.split("|"), "place": twin.place.split()}
        yield {**about, **told, **check(case, twin.slip, twin.level)}


def clean(case: Stranger, unit: Unit) -> Iterator[dict]:
    """The right rule over seeds, input scales and dtypes."""
    dtypes = ("float32", "bfloat16") if case.narrow else ("float32",)
    built = case.build("")
    for seed, scale, dtype in product(range(*unit.seeds), case.scales, dtypes):
        about = {"kind": "clean", "seed": seed, "scale": scale, "dtype": dtype}
        options = {"seed": seed, "dtypes": (dtype,)}
        args = scaled(case, case.args(np.random.default_rng(seed)), scale)
        yield {**about, **run(case, built, args, unit.level, options)}


def check(case: Stranger, slip: str, level: str) -> dict:
    """At the case's example, with the defaults of `check_vjp`."""
    args = case.args(np.random.default_rng(0))
    return run(case, case.build(slip), args, level, {})


def run(case: Stranger, built, args, level: str, options: dict) -> dict:
    """Verdict, names and time of one check; "crashed" with the exception's text."""
    from jaxninja.check import check_vjp

    rule, plain = built
    start = time.perf_counter()
    try:
        with _limited(LIMIT):
            told = {**case.options(plain), **options}
            report = check_vjp(rule, *args, level=level, **told)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"[:500]
        return {"verdict": "crashed", "error": text, **_seconds(start)}
    verdict = {"ok": "passed", "fail": "detected"}.get(report.verdict, report.verdict)
    leaves = [leaf.name for leaf in report.leaves if leaf.verdict == "fail"]
    found = {"names": names_of(report), "leaves": leaves}
    return {"verdict": verdict, **found, **_seconds(start)}


def scaled(case: Stranger, args: tuple, scale: float) -> tuple:
    """The arguments that may be scaled, times scale."""

    def times(a):
        inexact = hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.inexact)
        return (a * scale).astype(a.dtype) if inexact else a

    pairs = enumerate(args)
    return tuple(a if i in case.fixed else jax.tree.map(times, a) for i, a in pairs)


def _seconds(start: float) -> dict:
    return {"seconds": time.perf_counter() - start}


@contextmanager
def _limited(seconds: int):
    """A check that takes longer is given up, as soon as it is back in Python."""

    def stop(*_):
        raise TimeoutError(f"no verdict within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
