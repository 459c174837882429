"""Which mutants are tried."""

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
