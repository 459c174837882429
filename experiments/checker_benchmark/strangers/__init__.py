"""Rules and bugs of others, gathered after the checker was written; see README.

Half of each gathering, "working", may be looked at while the checker is improved. The
other half, "unseen", is run once, at the end. Which is which is a hash of the name. An
unseen half that has been run is opened, to be learned from, and what counts from then
on is that of the next gathering.
"""

import importlib
import pkgutil

from experiments.checker_benchmark.strangers import (
    eighth_unseen,
    eighth_working,
    fifth_unseen,
    fifth_working,
    fourth_unseen,
    fourth_working,
    ninth_unseen,
    ninth_working,
    second_unseen,
    second_working,
    seventh_unseen,
    seventh_working,
    sixth_unseen,
    sixth_working,
    tenth_unseen,
    tenth_working,
    third_unseen,
    third_working,
    unseen,
    working,
)
from experiments.checker_benchmark.strangers.record import Stranger, half_of

HALVES = {
    "working": working,
    "unseen": unseen,
    "second-working": second_working,
    "second-unseen": second_unseen,
    "third-working": third_working,
    "third-unseen": third_unseen,
    "fourth-working": fourth_working,
    "fourth-unseen": fourth_unseen,
    "fifth-working": fifth_working,
    "fifth-unseen": fifth_unseen,
    "sixth-working": sixth_working,
    "sixth-unseen": sixth_unseen,
    "seventh-working": seventh_working,
    "seventh-unseen": seventh_unseen,
    "eighth-working": eighth_working,
    "eighth-unseen": eighth_unseen,
    "ninth-working": ninth_working,
    "ninth-unseen": ninth_unseen,
    "tenth-working": tenth_working,
    "tenth-unseen": tenth_unseen,
}

CLOSED = "tenth-unseen"  # told of in totals only


def half(name: str) -> tuple[Stranger, ...]:
    """The cases of a half, in the order of the files."""
    if name not in HALVES:
        raise ValueError(f"half is {name!r}, expected {' or '.join(HALVES)}")
    found = []
    for module in sorted(pkgutil.iter_modules(HALVES[name].__path__), key=_name):
        path = f"{HALVES[name].__name__}.{module.name}"
        found += importlib.import_module(path).CASES
    return tuple(found)


def _name(module) -> str:
    return module.name


__all__ = ["CLOSED", "HALVES", "half", "half_of"]
