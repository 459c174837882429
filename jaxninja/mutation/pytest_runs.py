"""Do a user's own tests notice a wrong backward pass? Each mutant gets a pytest run.

The runs are processes of their own. In each of them this module is a pytest plugin: it
loads the user's function before any test does, and puts the mutant in place of its bwd.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from jaxninja import lookup
from jaxninja.errors import UserError
from jaxninja.mutation.enumeration import with_edits
from jaxninja.rule import Rule

VARIABLE = "JAXNINJA_MUTANT"  # "MODULE:FUNCTION|MODULE:CALLABLE or nothing|number"
# pytest's exit codes
WITHOUT_VERDICT = {4: "pytest cannot run what --tests names", 5: "no test was found"}
SLOWEST = 10  # times what the right backward pass takes; at least a minute


class TrialError(UserError):
    """The user's tests cannot judge: they fail, or none ran, with the right code."""


class Outcome(NamedTuple):
    """What the tests said of a mutant: "killed", "survived" or "did not run"."""

    mutant: str
    verdict: str
    detail: str = ""


def subject_at(place: str, arguments: str):
    """The function or Rule at MODULE:NAME, its subject and its example arguments."""
    from jaxninja.check.inputs.shapes import settings_of
    from jaxninja.check.subject.adapters import Normalised

    f = lookup.find(place, "the function")
    args = lookup.arguments(arguments)
    settings, _ = settings_of(Normalised(f), args, None, "quick")
    return f, *settings[0].draw(0)


def runs_of(
    place: str,
    arguments: str,
    numbers: list[tuple[int, str]],
    pytest_args: list[str],
    jobs: int = 1,
) -> Iterator[Outcome]:
    """Run the tests once with the right backward pass, then once with each mutant.

    Args:
        place, arguments: MODULE:FUNCTION and MODULE:CALLABLE of the user.
        numbers: of the mutants, with their names.
        pytest_args: paths and options of the tests; none runs what pytest finds.
        jobs: how many at once.

    Raises:
        TrialError: they do not pass with the right backward pass.
    """  # fmt: skip
    start = time.monotonic()
    done = _pytest(f"{place}|{arguments}|-1", pytest_args, None)
    if done.returncode:
        why = WITHOUT_VERDICT.get(done.returncode, "they do not pass as they are")
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise TrialError(f"the tests cannot judge a mutant: {why}\n{tail}")
    limit = max(60.0, SLOWEST * (time.monotonic() - start))

    def one(given: tuple[int, str]) -> Outcome:
        number, name = given
        try:
            done = _pytest(f"{place}|{arguments}|{number}", pytest_args, limit)
        except subprocess.TimeoutExpired:
            return Outcome(name, "killed", f"no end after {limit:.0f} s")
        verdict = {0: "survived", 1: "killed"}.get(done.returncode, "did not run")
        lines = (done.stdout + done.stderr).strip().splitlines()
        return Outcome(name, verdict, lines[-1] if lines else "")

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, numbers)


def _pytest(variable: str, args: list[str], limit: float | None):
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header"]
    command += ["-p", "jaxninja.mutation.pytest_runs", "-p", "no:cacheprovider", *args]
    environment = {**os.environ, VARIABLE: variable}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=limit
    )


def pytest_configure(config) -> None:
    """Of the plugin: put the mutant in place before any test module is imported."""
    if VARIABLE in os.environ:
        place, arguments, number = os.environ[VARIABLE].split("|")
        put_in_place(place, arguments, int(number))


def put_in_place(place: str, arguments: str, number: int) -> None:
    """Replace bwd of the function at `place`; -1 leaves it as it is."""
    from jaxninja.mutation.selection import traced

    f, subject, args = subject_at(place, arguments)
    if number >= 0:
        change = traced(subject, args).changes[number]
        wrong = with_edits(subject.bwd_function, (change.edit,))
        for target in _targets(f):
            object.__setattr__(target, "bwd", wrong)


def _targets(f) -> list[Callable | Rule]:
    """Where a bwd is kept: in the custom_vjp function, and in a Rule's record of it."""
    return [f, f.op] if isinstance(f, Rule) else [f]
