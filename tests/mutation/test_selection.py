"""Which mutants are tried."""

import pytest

from jaxninja.mutation import certificate
from jaxninja.mutation.pytest_runs import subject_at
from jaxninja.mutation.selection import mutants


def test_mutants_are_many_and_differ(project):
    _, subject, args = subject_at("cubes:cube", "cubes:example")
    found = mutants(subject, args)
    assert len(found) >= 20
    assert len({str(m) for m in found}) == len(found)
    taken = mutants(subject, args, 6)
    assert len({m.change.edit.operator for m in taken}) == 6
    assert list(map(str, taken)) == list(map(str, found[:6]))


def test_fewer_mutants_than_none_are_refused(project):
    _, subject, args = subject_at("cubes:cube", "cubes:example")
    for ask in (
        lambda: mutants(subject, args, -1),
        lambda: certificate.conditions("quick", 0, -1),
    ):
        with pytest.raises(ValueError, match="-1 mutants, expected a count, or 0"):
            ask()
