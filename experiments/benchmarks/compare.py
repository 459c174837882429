"""Two runs of the benchmarks side by side.

python -m experiments.benchmarks.compare OLD.json NEW.json
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def timings(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Name and median of every list of measurements in a part, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from timings(inner, f"{name} / {key}" if name else key)
    elif isinstance(value, list) and value and isinstance(value[0], list):
        for i, inner in enumerate(value):
            yield from timings(inner, f"{name} / {i}")
    elif isinstance(value, list) and name.split(" / ")[-1] not in ("sizes", "flops"):
        yield name, statistics.median(value)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Lines of `ratio, old, new, name`; a ratio above 1 is a new run that is slower."""
    lines = []
    for part in old.keys() & new.keys():
        before = dict(timings(old[part]["measured"], part))
        after = dict(timings(new[part]["measured"], part))
        for name in before:
            if name in after:
                ratio = after[name] / before[name]
                times = f"{before[name] * 1e6:12,.1f} {after[name] * 1e6:12,.1f}"
                lines.append(f"{ratio:7.2f} {times}  {name}")
    return [f"{'ratio':>7} {'old, µs':>12} {'new, µs':>12}", *sorted(lines)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Two benchmark runs side by side.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in (options.old, options.new)]
    print("\n".join(compare(*runs)))


if __name__ == "__main__":
    main()
