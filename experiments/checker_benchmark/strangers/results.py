"""From the records of the strangers to a page: caught, named, alarms."""

import re

from experiments.checker_benchmark.tables import ACCEPTED, detected, share

_BAD = ("detected", "crashed")


def fair(records: list[dict]) -> list[dict]:
    """The twins, each with "passed": whether its right rule passes at that level."""
    right = {(r["name"], r["level"]): r["verdict"] for r in _of(records, "right")}
    return [
        {**r, "passed": right.get((r["name"], r["level"])) not in _BAD}
        for r in _of(records, "twin")
    ]


def caught(record: dict) -> bool:
    return detected(record) and record["passed"]


def named(record: dict) -> str:
    """How good the first name is: "class", "verified", "wrong" or "none".

    No name counts where the right rule fails too: it may be that failure's.
    """
    names = record.get("names") or []
    if not detected(record) or not record.get("passed", True) or not names:
        return "none"
    kinds = {k for t in record["truths"] for k in (t, *ACCEPTED.get(t, ()))}
    if names[0]["kind"] in kinds:
        return "class"
    return "verified" if names[0]["verified"] else "wrong"


def placed(record: dict) -> bool:
    """Whether the gradients that fail are those that are wrong, and no others."""
    failed = {re.split(r"[\[.]", leaf)[0] for leaf in record.get("leaves", ())}
    return detected(record) and failed == set(record["place"])


def summary(records: list[dict]) -> str:
    """A row each for rules and for bugs, and one for both."""
    lines = [
        "| wrong twins of | caught, right twin passing | detected at all "
        "| right class | other, verified | wrong name | no name | right gradients |",
        "|" + "---|" * 8,
    ]
    twins = fair(records)
    for title, kinds in (("rules", ["rule"]), ("bugs", ["bug"]), ("both", _BOTH)):
        mine = [r for r in twins if r["case"] in kinds]
        how = ("class", "verified", "wrong", "none")
        cells = [share(mine, caught), share(mine, detected)]
        cells += [share(mine, lambda r, h=h: named(r) == h) for h in how]
        cells.append(share(mine, placed))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


_BOTH = ["rule", "bug"]


def alarms(records: list[dict]) -> str:
    """False alarms at the examples, and over seeds, scales and dtypes."""
    lines = ["| right rules | alarms | crashes | not tested |", "|---|---|---|---|"]
    for title, kind in (
        ("at the example", "right"),
        ("seeds, scales, dtypes", "clean"),
    ):
        mine = _of(records, kind)
        verdicts = ("detected", "crashed", None)
        cells = [share(mine, lambda r, v=v: _verdict(r) == v) for v in verdicts]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdict(record: dict) -> str | None:
    """None for what is neither passed, detected nor crashed."""
    known = ("passed", "detected", "crashed")
    return record["verdict"] if record["verdict"] in known else None


def listed(records: list[dict]) -> str:
    """What was missed, what was called wrongly, and what alarmed falsely, by name."""
    lines = []
    for r in fair(records):
        if not caught(r):
            why = "" if r["passed"] else ", the right twin fails too"
            lines.append(f"- missed: {r['name']}: {r['slip']}: {r['verdict']}{why}")
        elif named(r) in ("wrong", "none"):
            said = [n["sentence"] for n in r["names"][:1]]
            lines.append(f"- {named(r)}: {r['name']}: {r['slip']}: {' '.join(said)}")
    for r in (*_of(records, "right"), *_of(records, "clean")):
        if r["verdict"] in ("detected", "crashed"):
            where = [f"{k} {r[k]}" for k in ("seed", "scale", "dtype") if k in r]
            said = [n["sentence"] for n in r.get("names", ())[:1]] or [
                r.get("error", "")
            ]
            text = f"{r['verdict']} {', '.join(where)} {' '.join(said)}"
            lines.append(f"- right rule: {r['name']}: {text}")
    return "\n".join(lines) or "Nothing."


def page(records: list[dict], totals: bool = False) -> str:
    parts = [summary(records), alarms(records)]
    return "\n\n".join(parts if totals else [*parts, listed(records)]) + "\n"


def _of(records: list[dict], kind: str) -> list[dict]:
    return [r for r in records if r["kind"] == kind]
