"""From the records of a run to tables: detection, naming, false alarms, time."""

from collections.abc import Callable, Iterable

import numpy as np

from experiments.checker_benchmark.ours import NAME

LINEARITY = ("E-ZEROCOT", "E-ODD", "E-SCALE", "E-ADD")  # "bwd(-dy) is not -bwd(dy)"

# What a name may be called where the truth is this class; see README.
ACCEPTED = {
    "cotangent": ("cotangent", *LINEARITY),
    "affine": ("cotangent", "affine", "term", *LINEARITY),
    "sign": ("sign", "ratio"),
    "ratio": ("ratio", "factor"),
    "factor": ("factor", "ratio"),
    "term": ("term", "path"),
    "swap": ("swap",),
    "transpose": ("transpose",),
    "sum": ("sum", "axis"),
    "index": ("index", "region", "elements"),
    "mask": ("mask", "region", "predicate"),
    "duplicates": ("duplicates", "index"),
    "function": ("function",),
    "residual": ("residual", "operand"),
    "precision": ("precision",),
    "zero": ("zero", "path"),
    "forward": ("forward", "E-FWD", "E-FORWARD"),
    "dtype": ("dtype", "E-DTYPE"),
    "eps": ("eps",),
    "option": ("option", "ratio", "constant"),
    "edge": ("edge", "nan", "finite"),
    "second order": ("second order", "W-STOPGRAD-RES"),
}


def share(records: list[dict], holds: Callable[[dict], bool]) -> str:
    """ "97.5 % of 400", or a dash where there are none."""
    if not records:
        return "–"
    return f"{100 * sum(map(holds, records)) / len(records):.1f} % of {len(records)}"


def detected(record: dict) -> bool:
    return record["verdict"] == "detected"


def named(record: dict) -> str:
    """How good the first name given is: "class", "verified", "wrong" or "none"."""
    names = record.get("names") or []
    if not names:
        return "none"
    accepted = {kind for truth in record["truths"] for kind in ACCEPTED.get(truth, ())}
    if names[0]["kind"] in accepted:
        return "class"
    return "verified" if names[0]["verified"] else "wrong"


def right_line(record: dict) -> bool:
    """Whether the first name that points into a file points at the mistake."""
    wheres = [n["where"] for n in record.get("names") or [] if n["where"]]
    line = wheres[0].rsplit(":", 1)[-1] if wheres else ""
    return line.isdigit() and int(line) in record["lines"]


def select(records: Iterable[dict], kind: str, **wanted) -> list[dict]:
    pairs = {"kind": kind, **wanted}
    return [r for r in records if all(r.get(k) == v for k, v in pairs.items())]


def checkers(records: list[dict]) -> list[str]:
    names = list(dict.fromkeys(r["checker"] for r in records if "checker" in r))
    return sorted(names, key=lambda n: n != NAME)


def detection(records: list[dict], standard: bool = True) -> str:
    """A row a checker. Mutants of second order belong to level full, and are apart."""
    lines = [
        "| checker | mutants | single | double | use of the cotangent | field bugs "
        "| alarms on clean rules | median s | p95 s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in checkers(records):
        mutants = select(records, "mutant", checker=name, order=1)
        bugs = [b for b in select(records, "field", checker=name)]
        bugs = [b for b in bugs if not standard or b["level"] == "standard"]
        clean = select(records, "clean", checker=name)
        times = [r["seconds"] for r in [*mutants, *bugs, *clean]] or [float("nan")]
        cells = [
            name,
            share(mutants, detected),
            share([m for m in mutants if not m["double"]], detected),
            share([m for m in mutants if m["double"]], detected),
            share([m for m in mutants if m["truths"] == ["cotangent"]], detected),
            share(bugs, detected),
            share(clean, detected),
            f"{np.median(times):.3f}",
            f"{np.quantile(times, 0.95):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def naming(records: list[dict]) -> str:
    """Of the detected mutants and field bugs of ours: what the first name was worth."""
    lines = [
        "| | right class | other, verified | wrong | none | right line |",
        "|---|---|---|---|---|---|",
    ]
    single = select(records, "mutant", checker=NAME, order=1, double=False)
    groups = {
        "single edits": single,
        "double edits": select(records, "mutant", checker=NAME, order=1, double=True),
        "field bugs": select(records, "field", checker=NAME),
    }
    for title, group in groups.items():
        found = [r for r in group if detected(r)]
        worth = [share(found, lambda r, w=w: named(r) == w) for w in _WORTHS]
        local = [r for r in found if r.get("lines")]
        lines.append(f"| {title} | {' | '.join(worth)} | {share(local, right_line)} |")
    return "\n".join(lines)


_WORTHS = ("class", "verified", "wrong", "none")


def by_operator(records: list[dict]) -> str:
    """A row an operator, a column a checker: the share detected."""
    names = checkers(records)
    head = ["| operator | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    single = [r for r in select(records, "mutant", double=False)]
    rows = []
    for operator in sorted({r["operator"] for r in single}):
        mine = [r for r in single if r["operator"] == operator]
        cells = [share(select(mine, "mutant", checker=n), detected) for n in names]
        rows.append(f"| {operator} | {' | '.join(cells)} |")
    return "\n".join([*head, *rows])


def misses(records: list[dict]) -> list[str]:
    """What ours let pass, by name, with the verdict; and what alarmed falsely."""
    lines = []
    for r in records:
        if r.get("checker") != NAME or r["kind"] not in ("mutant", "field", "clean"):
            continue
        clean = r["kind"] == "clean"
        if clean == detected(r) or (clean and r["verdict"] == "crashed"):
            name = r.get("name") or f"{r['rule']}, seed {r['seed']}, x {r['scale']:g}"
            extra = f", {r['dtype']}" if clean else ""
            lines.append(f"{r['kind']}: {name}{extra}: {r['verdict']}")
    return lines


def census(records: list[dict]) -> dict[str, int]:
    """What became of the candidates, counted once however many checkers saw them."""
    by_rule = {r["rule"]: r["census"] for r in select(records, "census")}
    total: dict[str, int] = {}
    for counts in by_rule.values():
        for verdict, count in counts.items():
            total[verdict] = total.get(verdict, 0) + count
    return total
