"""Tables of outputs, put where pages ask for them.

A page has a pair of comments, `<!-- result: NAME -->` and `<!-- end of result -->`, and
between them stand the Markdown tables that part NAME printed, and the machine, versions
and date. `NAME 2` asks for the second table only, `NAME whole` for all that was
printed. Names of HEADLINES are tables made from such tables; of these `NAME dated` asks
for machine, versions and date as well, those of the first part.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from experiments.all.headlines import HEADLINES
from experiments.all.parts import ROOT
from experiments.all.staleness import Row
from jaxninja.storage import atomic

BLOCK = re.compile(
    r"<!-- result: ([\w-]+)(?: (\w+))? -->\n(.*?)<!-- end of result -->", re.DOTALL
)


def update(results: Path, rows: Mapping[str, Row], root: Path = ROOT) -> list[str]:
    """Write all blocks anew whose parts have been run; returns the pages changed."""
    changed = []
    for page in pages(root):
        before = page.read_text()
        after = BLOCK.sub(lambda found: _filled(found, results, rows), before)
        if after != before:
            atomic.write_text(page, after)
            changed.append(str(page.relative_to(root)))
    return changed


def pages(root: Path = ROOT) -> Iterator[Path]:
    yield root / "README.md"
    yield from sorted((root / "experiments").rglob("*.md"))


def _filled(found: re.Match, results: Path, rows: Mapping[str, Row]) -> str:
    """The block with what was measured; as it is where that is not there."""
    name, which, _ = found.groups()
    needed = HEADLINES[name].parts if name in HEADLINES else (name,)
    known = [rows[part] for part in needed if part in rows and not rows[part]["exit"]]
    if len(known) < len(needed):
        return found[0]
    outputs = [(results / "output" / f"{part}.txt").read_text() for part in needed]
    if name in HEADLINES:
        text, dated = HEADLINES[name].make(*map(tables, outputs)), which == "dated"
    else:
        text, dated = chosen(outputs[0], which), True
    if dated:
        text += f"\n\n{stamp(known[0])}"
    mark = found[0].split("\n", 1)[0]
    return f"{mark}\n{text}\n<!-- end of result -->"


def chosen(output: str, which: str | None) -> str:
    if which == "whole":
        lines = output.splitlines()
        return "\n".join(line for line in lines if not line.startswith("$ ")).strip()
    found = tables(output)
    return "\n\n".join(found if which is None else [found[int(which) - 1]])


def tables(output: str) -> list[str]:
    """The Markdown tables of a text."""
    found = re.findall(r"(?:^\|.*\n?)+", output, re.MULTILINE)
    return [table.strip() for table in found]


def stamp(row: Row) -> str:
    """Where, with what and when."""
    names = {"python": "Python", "jax": "JAX", "torch": "PyTorch"}
    known = {k: v for k, v in row["versions"].items() if k in names}
    versions = [f"{names[k]} {v}" for k, v in known.items()]
    machine = f"{row['device']}, {row['cpus']} CPUs"
    return f"{row['date']}: {machine}, {', '.join(versions)}."
