"""Real bugs of the field, re-created: each with its thread and an independent truth.

As with the bank, TUNING may be looked at while the checker is written and REPORTING is
only reported on. The halves were fixed when the bugs were written down, by turns within
each file, so that both see every class.
"""

from experiments.checker_benchmark.field_bugs import (
    contract,
    cotangent,
    edges,
    paths,
    sums,
)

FILES = (cotangent, paths, sums, edges, contract)
BUGS = tuple(bug for file in FILES for bug in file.BUGS)
BY_NAME = {bug.name: bug for bug in BUGS}
TUNING = tuple(bug.name for file in FILES for bug in file.BUGS[::3])
REPORTING = tuple(name for name in BY_NAME if name not in TUNING)


def half(name: str) -> tuple:
    """The bugs of a half: "tuning", "reporting" or "all"."""
    names = {"tuning": TUNING, "reporting": REPORTING, "all": tuple(BY_NAME)}
    if name not in names:
        raise ValueError(f"half is {name!r}, expected one of {', '.join(names)}")
    return tuple(BY_NAME[n] for n in names[name])
