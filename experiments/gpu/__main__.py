"""What this GPU makes of the project, in less than ten minutes.

    python -m experiments.gpu [--parts machine rules ...] [--tiny] [--out FILE]

Each part runs in a process of its own, has its own time limit, and writes its rows as
it goes: one that fails or is stopped keeps what it has, and stops no other. The rows
are merged into experiments/benchmarks/results/nvidia.json, with a table beside it.
`--tiny` runs all parts on small sizes, on a CPU too, which measures nothing.
"""

import argparse
import json
import sys
from pathlib import Path

import jax

from experiments.benchmarks.run import RESULTS
from experiments.gpu import tables
from experiments.gpu.parts import PARTS
from experiments.gpu.processes import measure

OUT = RESULTS / "nvidia.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.gpu")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="small sizes, on a CPU too")
    parser.add_argument("--out", type=Path, help=f"JSON file, by default {OUT.name}")
    options = parser.parse_args(arguments)
    if jax.default_backend() != "gpu" and not options.tiny:
        print(
            f"no GPU: JAX sees only {jax.devices()[0].platform}; `jaxninja doctor` "
            "says what is missing; --tiny runs all parts on small sizes",
            file=sys.stderr,
        )
        return 2
    out = options.out or (OUT if not options.tiny else Path("tiny.json"))
    results = json.loads(out.read_text()) if out.exists() else {}
    for name in options.parts:
        print(f"{name}: at most {PARTS[name].limit} s ...", flush=True)
        results[name] = measure(PARTS[name], options.tiny)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n")
        out.with_suffix(".md").write_text(tables.report(results))
        print("\n".join(tables.part(name, results[name])), flush=True)
    return 1 if any(results[name]["failed"] for name in options.parts) else 0


if __name__ == "__main__":
    sys.exit(main())
