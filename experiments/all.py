"""Every result made again, in one go that can be stopped and gone on with.

    python -m experiments.all [--only NAME ...] [--again] [--list]

Runs what the index (experiments/README.md) lists with an answer, one after another, on
a machine with nothing else to do. What a part prints goes into results/output/NAME.txt,
and results/measured.json says of each when, where and with which versions it ran, how
long it took, and the hash of the code that it measured. A part whose code has not
changed since is left alone. `--list` runs nothing and says which results are older than
their code. The tables of the pages are taken from these outputs.
"""

import argparse
import ast
import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmarks.run import about
from jaxninja.storage import atomic

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
RULES, MODELS = "jaxninja/rules", "jaxninja/models"
TRAINING = (RULES, MODELS, "jaxninja/training", "jaxninja/data")
CHECK = ("jaxninja/check", "jaxninja/jaxpr.py")


class Part(NamedTuple):
    """A question of the index.

    Attributes:
        commands: as a user gives them, one after another.
        code: files and folders of the repository that the answer is of.
        minutes: that it takes on 2 cores, to the nearest large number.
    """

    commands: tuple[str, ...]
    code: tuple[str, ...]
    minutes: int


def _module(command: str, *code: str, minutes: int = 1) -> Part:
    """`python -m experiments.COMMAND`, which is itself a part of what is measured."""
    own = "experiments/" + command.split()[0].replace(".", "/")
    script = own if (ROOT / own).is_dir() else f"{own}.py"
    return Part((f"python -m experiments.{command}",), (*code, script), minutes)


def _losses() -> Part:
    train = "jaxninja train --data makemore --runs runs/losses"
    routes = [f"{train} --route {r}" for r in ("network", "rules", "autodiff")]
    seeds = [f"{train} --seed {seed}" for seed in (1, 2, 3)]
    embedded = [f"jaxninja train --runs runs/losses --data {d}" for d in EMBEDDED]
    return Part((*routes, *seeds, *embedded), TRAINING, 5)


EMBEDDED = ("names", "surnames")
BENCH = "experiments/benchmarks"
PARTS: dict[str, Part] = {
    "losses": _losses(),
    "optimizers": _module("optimizers_by_hand", "jaxninja/training/optimizers.py"),
    "makemore": _module("makemore", *TRAINING, minutes=30),
    "makemore-peers": _module(
        "makemore_peers", f"{BENCH}/makemore_torch.py", minutes=30
    ),
    "gpt2-ten-steps": _module("gpt2.ten_steps", RULES, MODELS, minutes=5),
    "gpt2-shakespeare": _module("gpt2.shakespeare --torch", *TRAINING, minutes=15),
    "gpt2-memory": _module("gpt2.memory", RULES, MODELS, minutes=5),
    "gpt2-speed": _module("gpt2.speed", RULES, MODELS, minutes=15),
    "checker": _module("checker_benchmark.run", *CHECK, minutes=120),
    "checker-times": _module("checker_benchmark.times --half all", *CHECK, minutes=20),
    "strangers": _module("checker_benchmark.strangers.run", *CHECK, minutes=60),
    "workbook": Part(
        ("python experiments/workbook_speed.py",),
        ("jaxninja/workbook", "experiments/workbook_speed.py"),
        5,
    ),
    "steps": _module("benchmarks.run", *TRAINING, minutes=30),
    "rules": _module("benchmarks.rules", RULES, minutes=15),
    "blocks": _module("benchmarks.blocks", RULES, minutes=10),
    "recurrences": _module("benchmarks.recurrences", RULES, minutes=10),
    "models": _module("benchmarks.models", RULES, MODELS, minutes=15),
    "engine": _module("engine_speed", "jaxninja/engine", minutes=5),
    "diagnose": _module("diagnose_cost", *TRAINING, minutes=5),
    "scalars": _module("micrograd.scalars", "jaxninja/engine"),
    "neurons": _module("micrograd.neurons", "jaxninja/engine"),
    "moons": _module("micrograd.moons", "jaxninja/engine"),
    "part3": _module("part3_stages", *TRAINING, minutes=5),
    "deep-net": _module("deep_net", *TRAINING, minutes=5),
    "leaks": _module("leaky_abstraction", *TRAINING, minutes=5),
    "contrastive-divergence": _module("before_autograd.rbm"),
    "alignment": _module("before_autograd.alignment", RULES),
}


def main(arguments: list[str] | None = None, parts: Mapping[str, Part] = PARTS) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.all")
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--again", action="store_true", help="those of this code too")
    parser.add_argument(
        "--list", action="store_true", help="say how old each result is"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    record = recorded(options.results)
    if options.list:
        for name in options.only:
            print(f"{name:<24}{age(parts[name], record.get(name))}")
        return 0
    todo = [
        name
        for name in options.only
        if options.again or age(parts[name], record.get(name)) != "as its code is"
    ]
    minutes = sum(parts[name].minutes for name in todo)
    print(f"{len(todo)} of {len(options.only)} parts to run, about {minutes} min")
    failed = []
    for n, name in enumerate(todo, 1):
        print(
            f"\n== {n}/{len(todo)} {name}, about {parts[name].minutes} min", flush=True
        )
        record[name] = run(name, parts[name], options.results)
        atomic.write_text(_file(options.results), json.dumps(record, indent=1) + "\n")
        failed += [name] if record[name]["exit"] else []
    if failed:
        print(f"\nfailed: {', '.join(failed)}; their output is in {options.results}")
    return 1 if failed else 0


def run(name: str, part: Part, results: Path) -> dict[str, Any]:
    """Run the commands of a part, each shown and kept as it prints."""
    output = results / "output" / f"{name}.txt"
    output.parent.mkdir(parents=True, exist_ok=True)
    code, begun, status = digest(part.code), time.perf_counter(), 0
    with output.open("w") as kept:
        for command in part.commands:
            kept.write(f"$ {command}\n")
            status = status or _shown(command, kept)
    seconds = round(time.perf_counter() - begun)
    return {"exit": status, "seconds": seconds, "code": code} | about()


def _shown(line: str, kept: Any) -> int:
    words = shlex.split(line)
    ours = {"python": [sys.executable], "jaxninja": [sys.executable, "-m", "jaxninja"]}
    command, both = ours[words[0]] + words[1:], subprocess.STDOUT
    pipe = {"stdout": subprocess.PIPE, "stderr": both, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipe) as process:
        for text in process.stdout:
            kept.write(text)
            print(text, end="", flush=True)
    return process.returncode


def age(part: Part, row: Mapping[str, Any] | None) -> str:
    """What a result's row says of it."""
    if row is None:
        return "never run"
    if row["exit"]:
        return f"failed on {row['date']}"
    if row["code"] != digest(part.code):
        return f"of {row['date']}, older than its code"
    return "as its code is"


def recorded(results: Path = RESULTS) -> dict[str, Any]:
    file = _file(results)
    return json.loads(file.read_text()) if file.exists() else {}


def _file(results: Path) -> Path:
    return results / "measured.json"


def digest(paths: Iterable[str], root: Path = ROOT) -> str:
    """A hash of code, which comments, docstrings and layout leave as it is."""
    files = (f for path in paths for f in _files(root / path))
    texts = (f"{f.relative_to(root)}\n{_code(f)}" for f in sorted(set(files)))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _files(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; PARTS names it")
    return path.rglob("*.py") if path.is_dir() else [path]


def _code(file: Path) -> str:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a string that stands alone does nothing
            node.body = [line for line in body if not _is_text(line)]  # type: ignore
    return ast.dump(tree)


def _is_text(line: ast.stmt) -> bool:
    value = getattr(line, "value", None)
    text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return isinstance(line, ast.Expr) and text


if __name__ == "__main__":
    sys.exit(main())
