"""Run the benchmark: `python -m experiments.checker_benchmark.run --help`.

Every check is a line of the records file, so a run that is stopped goes on where it
was; the tables are made from that file at the end, or from a finished one at once.
"""

import json
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from experiments.checker_benchmark import ours, tables
from experiments.checker_benchmark.peers import PEERS
from experiments.checker_benchmark.plot import plot
from experiments.checker_benchmark.tasks import units, work

Kind = Literal["mutant", "field", "clean"]
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Config:
    """Rules, mutants and field bugs through check_vjp and its peers.

    Attributes:
        half: which rules and bugs.
        limit: about how many mutants, spread over rules and operators; 0 is all.
        seeds: how many seeds a clean rule is checked with (x 5 scales x 2 dtypes).
        peers: names of peers, "all" or "none".
        kinds: what to check.
        operators: only mutants by these operators; all by default.
        level: of check_vjp.
        ours: whether to run check_vjp itself.
        processes: how many at once.
        records: JSON lines to append to; a unit that is complete there is skipped.
        json: where to write the tables' numbers as JSON, if anywhere.
        markdown: where to write the tables; "" prints them only.
    """

    half: Literal["reporting", "tuning", "all"] = "reporting"
    limit: int = 0
    seeds: int = 2
    peers: tuple[str, ...] = ("all",)
    kinds: tuple[Kind, ...] = ("field", "mutant", "clean")
    operators: tuple[str, ...] = ()
    level: Literal["quick", "standard", "full"] = "standard"
    ours: bool = True
    processes: int = 2
    records: Path = RESULTS / "records.jsonl"
    json: Path | None = None
    markdown: Path | None = None


def chosen_checkers(config: Config) -> list[str]:
    """Names of the checkers to run; an unknown one is refused."""
    wanted = {("all",): tuple(PEERS), ("none",): ()}.get(config.peers, config.peers)
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        known = ", ".join(["all", "none", *PEERS])
        raise SystemExit(f"--peers {unknown[0]!r} is unknown; there are: {known}")
    return [ours.NAME, *wanted] if config.ours else list(wanted)


def read(path: Path) -> list[dict]:
    """Records of the units that are complete."""
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines() if line]
    done = {r["unit"] for r in records if r["kind"] == "done"}
    return [r for r in records if r["unit"] in done]


def run(config: Config) -> list[dict]:
    """Do what is missing in the records file; returns the records of this run."""
    wanted = units(config, chosen_checkers(config))
    finished = {r["unit"] for r in read(config.records)}
    missing = [unit for unit in wanted if unit.key not in finished]
    config.records.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    pool = context.Pool(config.processes, maxtasksperchild=25)
    with pool, config.records.open("a") as file:
        _collect(pool.imap_unordered(work, missing), file, len(missing))
    keys = {unit.key for unit in wanted}
    return [r for r in read(config.records) if r["unit"] in keys]


def _collect(results, file, count: int) -> None:
    start = time.monotonic()
    for number, records in enumerate(results, 1):
        file.writelines(json.dumps(record) + "\n" for record in records)
        file.flush()
        elapsed = time.monotonic() - start
        left = elapsed / number * (count - number)
        text = f"{number}/{count} units, {elapsed:.0f} s, about {left:.0f} s to go"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def report(config: Config, records: list[dict]) -> str:
    """The Markdown of all tables."""
    sections = {
        "Detection": tables.detection(records, standard=config.level != "full"),
        "Names": tables.naming(records),
        "Detection by operator": tables.by_operator(records),
        "Misses and false alarms of check_vjp": "\n".join(
            f"- {line}" for line in tables.misses(records)
        )
        or "None.",
    }
    census = tables.census(records)
    counted = ", ".join(f"{v}: {n}" for v, n in census.items()) or "a sample"
    head = f"Half: {config.half}. Level: {config.level}. Candidates: {counted}."
    parts = [head, *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    config = tyro.cli(Config)
    records = run(config)
    text = report(config, records)
    print(text)
    if config.markdown and config.markdown.name:  # "" is the folder itself
        config.markdown.write_text(text)
        plot(records, config.markdown.with_suffix(".png"))
    if config.json:
        rows = [{k: v for k, v in r.items() if k != "unit"} for r in records]
        config.json.write_text(json.dumps({"half": config.half, "records": rows}))


if __name__ == "__main__":
    main()
