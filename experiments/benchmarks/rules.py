"""Every rule against `jax.grad` of its plain form, at its `bench` size.

    python -m experiments.benchmarks.rules [--rules NAME ...] [--rounds 15] [--again]
    python -m experiments.benchmarks.rules --wall

Forward + backward in float32, each against autodiff's: the time, the bytes that wait in
between, the bytes that XLA's program needs besides, and the error. The time is that of
one processor core: both take turns, and the least of all rounds counts. With `--wall`
it is wall-clock time on all cores, for a machine with nothing else to do.

What is measured goes into results/rules.json after each rule, and rules.md is written
anew. A rule that has been measured as it is now is left alone, so that a run which was
stopped goes on where it was.
"""

import argparse
import datetime
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.clock import repeated, take_turns
from experiments.benchmarks.machine import device
from jaxninja.check.subject.pytrees import cast, float_leaves, unit, with_floats
from jaxninja.check.subject.residuals import residual_bytes
from jaxninja.mutation.certificate import source_hash
from jaxninja.rule import Case, Rule
from jaxninja.rules import RULES
from jaxninja.training.machine.devices import versions

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "rules.json", HERE / "rules.md"
TURN = 0.1  # seconds
SAMPLES = 4  # inputs and cotangents over which errors are pooled
WAYS: dict[str, Callable[[Rule], Callable]] = {
    "rule": lambda rule: rule.op,
    "autodiff": lambda rule: rule.reference,
}


def measure(rule: Rule, rounds: int) -> dict[str, Any]:
    """Seconds in each round, bytes and errors, by the rule and by autodiff."""
    given = sample(rule, rule.bench, 0)
    work, temporary, texts = {}, {}, set()
    for way, function in WAYS.items():
        run = program(rule, rule.bench, function(rule)).lower(*given).compile()
        temporary[way] = run.memory_analysis().temp_size_in_bytes
        work[way] = called(run, given)
        texts.add(instructions(run.as_text()))
    return {
        "size": str(rule.bench),
        "same program": len(texts) == 1,
        "seconds": take_turns(work, rounds, TURN, time.process_time),
        "residual bytes": dict(zip(WAYS, residual_bytes(rule), strict=True)),
        "temporary bytes": temporary,
        "error": errors(rule),
    }


def wall_seconds(rule: Rule, rounds: int) -> dict[str, list[float]]:
    given = sample(rule, rule.bench, 0)
    run = {way: program(rule, rule.bench, f(rule)) for way, f in WAYS.items()}
    return take_turns({way: called(f, given) for way, f in run.items()}, rounds, TURN)


def sample(rule: Rule, case: Case, seed: int) -> tuple[tuple, list]:
    """Arrays, and a cotangent for each output that can have one."""
    key = jax.random.key(seed)
    arrays = rule.example(key, **case.dims)
    out = jax.eval_shape(lambda *a: rule.op(*rule.arranged(a, case.static)), *arrays)
    keys = jax.random.split(jax.random.fold_in(key, 1), len(jax.tree.leaves(out)))
    pairs = zip(keys, float_leaves(out), strict=False)
    return arrays, [jax.random.normal(key, y.shape, y.dtype) for key, y in pairs]


def program(rule: Rule, case: Case, op: Callable):
    """(arrays, dy) -> the outputs, and the gradient of each array that has one."""

    def both(arrays, dy):
        def forward(*floats):
            full = rule.arranged(with_floats(arrays, floats), case.static)
            return float_leaves(op(*full))

        y, pull = jax.vjp(forward, *float_leaves(arrays))
        return y, pull(dy)

    return jax.jit(both)


def called(run: Callable, given: tuple) -> Callable[[int], None]:
    return repeated(lambda: jax.block_until_ready(run(*given)))


def instructions(text: str) -> str:
    """XLA's program without the names of its instructions and where they are from."""
    text = re.sub(r", (metadata|frontend_attributes)=\{[^}]*\}", "", text)
    text = text[re.search(r"\n(ENTRY )?%", text).start() :]
    text = re.sub(r"[\w.-]+(?=: [a-z]+\d*\[)", "_", text)
    order: dict[str, str] = {}
    return re.sub(r"%[\w.-]+", lambda m: order.setdefault(m[0], f"%{len(order)}"), text)


def errors(rule: Rule) -> dict[str, float]:
    """Of each way's worst gradient, in roundings: the distance from autodiff's float64
    gradient over all entries of all samples, over the gradient's own size."""
    runs = [program(rule, rule.bench, f(rule)) for f in WAYS.values()]
    squares = [_squares(rule, runs, seed) for seed in range(SAMPLES)]
    total = np.sum(squares, 0)  # [way, gradient], the last way being the truth itself
    found = np.sqrt(total[:-1, total[-1] > 0] / total[-1, total[-1] > 0]) / unit(
        "float32"
    )
    worst = int(np.argmax(found[0] / np.maximum(found[1], 0.5)))
    return {
        way: round(float(e), 3) for way, e in zip(WAYS, found[:, worst], strict=True)
    }


def _squares(rule: Rule, runs: list, seed: int) -> list[list[float]]:
    """Squared distance of each gradient by each way, and the truth's square."""
    arrays, dy = sample(rule, rule.bench, seed)
    gradients = [run(arrays, dy)[1] for run in runs]
    with jax.enable_x64(True):
        wide = cast(arrays, "float64"), cast(dy, "float64")
        truth = runs[-1](*wide)[1]
        truth = [np.asarray(g) for g in truth]
    off = [[np.asarray(g, float) - t for g, t in zip(found, truth, strict=True)]
           for found in gradients]  # fmt: skip
    return [[float(np.sum(g * g)) for g in row] for row in [*off, truth]]


def ratio(row: dict[str, Any], what: str) -> float:
    """The rule over autodiff, at least half a rounding where errors are compared."""
    mine, theirs = (row[what][way] for way in WAYS)
    if what.endswith("seconds"):
        return min(mine) / min(theirs)
    if what == "error":
        return mine / max(theirs, 0.5)
    return mine / theirs if theirs else float(mine > 0)


def about() -> dict[str, Any]:
    return device() | {"versions": versions()}


def page(results: dict[str, Any]) -> str:
    """The table, with what stands in the way where a row asks for it."""
    head = [
        "rule",
        "size",
        "time",
        "residual bytes",
        "temporary bytes",
        "float32 error",
    ]
    walls = any("wall seconds" in row for row in results["rules"].values())
    if walls:
        head.insert(3, "time, all cores")
    rows = [_cells(rule, results["rules"], walls) for rule in RULES]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    reasons = [f"- `{rule.name}`: {rule.why}" for rule in RULES if rule.why]
    here = results["about"]
    versions = ", ".join(f"{name} {v}" for name, v in here["versions"].items())
    return "\n".join([
        "# Every rule against autodiff", "",
        "Written by `python -m experiments.benchmarks.rules`: forward + backward in",
        "float32 at each rule's `bench` size, by the rule over `jax.grad` of the plain",
        "form. Time: of one core, the least of interleaved rounds; where XLA compiles",
        "both to one program a ratio other than 1 is noise. Bytes: rule / autodiff.",
        "Error: of the worst gradient over autodiff's, against float64, or over half a",
        "rounding where autodiff's is below that. `-`: not measured yet.", "",
        f"{here['device']}, {here['cpus']} CPUs; {versions}; {here['date']}.", "",
        *lines, "",
        "## Where a rule is behind autodiff in something", "", *reasons, "",
    ])  # fmt: skip


def _cells(rule: Rule, rows: dict[str, Any], walls: bool) -> list[str]:
    row = rows.get(rule.name)
    link = f"[`{rule.name}`](../../{_file(rule)})"
    if row is None or "seconds" not in row:
        return [link, str(rule.bench), *["-"] * (4 + walls)]
    same = " (one program)" * row.get("same program", False)
    cells = [link, row["size"], f"{ratio(row, 'seconds'):.2f}{same}"]
    if walls:
        wall = "wall seconds" in row
        cells.append(f"{ratio(row, 'wall seconds'):.2f}" if wall else "-")
    for what in ("residual bytes", "temporary bytes"):
        cells.append(" / ".join(f"{row[what][way]:,}" for way in WAYS))
    return [*cells, f"{ratio(row, 'error'):.2f}"]


def _file(rule: Rule) -> str:
    return rule.fwd.__module__.replace(".", "/") + ".py"


def _known(again: bool, hashes: dict[str, str]) -> dict[str, Any]:
    """What has been measured here of rules as they are now."""
    now = about()
    if again or not RESULTS.exists():
        return {"about": now, "rules": {}}
    found = json.loads(RESULTS.read_text())
    same = {k: v for k, v in found["about"].items() if k != "date"} == now
    rows = {
        n: row for n, row in found["rules"].items() if row["source"] == hashes.get(n)
    }
    return {"about": now, "rules": rows if same else {}}


def _write(results: dict[str, Any]) -> None:
    results["about"]["date"] = datetime.date.today().isoformat()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))


def main() -> None:
    names = [rule.name for rule in RULES]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--again", action="store_true", help="measure all anew")
    parser.add_argument("--wall", action="store_true", help="wall-clock, on all cores")
    options = parser.parse_args()
    if not options.wall and hasattr(os, "sched_setaffinity"):  # before JAX has threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    hashes = {rule.name: source_hash(rule) for rule in RULES}  # of what is imported
    results = _known(options.again, hashes)
    for rule in (rule for rule in RULES if rule.name in options.rules):
        row = results["rules"].get(rule.name, {})
        what = "wall seconds" if options.wall else "seconds"
        if what not in row:
            print(f"measuring {rule.name} ...", file=sys.stderr, flush=True)
            if options.wall:
                more = {"wall seconds": wall_seconds(rule, options.rounds)}
            else:
                more = measure(rule, options.rounds)
            row = {"source": hashes[rule.name], **row, **more}
            results["rules"][rule.name] = row
            _write(results)
    _write(results)
    print(page(results))


if __name__ == "__main__":
    main()
