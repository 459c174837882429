"""`jaxninja check`: is a hand-written backward pass right?"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

from jaxninja import lookup
from jaxninja.check import Report, check_vjp
from jaxninja.check.errors import UserCodeError
from jaxninja.check.properties.devices import ask_for_devices
from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.lines import show
from jaxninja.errors import expected_one_of
from jaxninja.mutation import pytest_runs
from jaxninja.mutation.selection import mutants
from jaxninja.rules import RULES
from jaxninja.training.config import ConfigError
from jaxninja.training.machine.devices import need_device

DEVICES = 4  # at level full a CPU shows as several, so that sharding is tested

SEEDS = 2**31  # an integer of 32 bits, as in training

# what a script can tell apart; 2 is a wrong command line
EXIT = {"ok": 0, "fail": 1, "not tested": 3}

# options that say something of one function
ONE = ("reference", "surrogate", "zero", "nondiff", "linear", "edges")


@dataclass(frozen=True)
class Check:
    """Compare a backward pass with jax.vjp of its plain forward.

    Exit code 0: every gradient was tested and is right. 1: one is wrong. 3: nothing is
    wrong, but something could not be tested. 2: the command line makes no sense, or
    the function raises.

    Examples: jaxninja check softmax; jaxninja check my_file:my_rule --args
    my_file:example

    Attributes:
        level: How much to try: quick, a few samples; standard; full, also vmap, scan,
            remat, second derivatives, bfloat16 and several devices.
        mutate: Check your tests instead: break the backward of a function of your own
            in many ways, one at a time, and see whether pytest notices.
    """

    name: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[NAME]"),
    ] = None
    """A rule, as `jaxninja rules` lists them, or MODULE:FUNCTION of your own."""
    args: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CALLABLE")] = None
    """What returns example arguments for a function of your own, as a tuple."""
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Check every rule of the catalogue."""
    level: Literal["quick", "standard", "full"] = "standard"
    reference: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    """The plain forward, in place of the one under the rule."""
    surrogate: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    """(args, dy) -> tuple, the gradient that is meant in place of the true one."""
    zero: tuple[str, ...] = ()
    """Arguments whose true gradient is exactly zero."""
    nondiff: tuple[str, ...] = ()
    """Arguments that have no gradient on purpose."""
    linear: Literal["yes", "no"] = "yes"
    """no: not linear in its cotangent on purpose (clipping)."""
    edges: Literal["yes", "no"] = "yes"
    """no: a function of a narrow domain, whose inputs stay like those given."""
    seed: int = 0
    """The same seed repeats the same check."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the reports as JSON."""
    mutate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    tests: tuple[str, ...] = ()
    """With --mutate: what pytest is to run; by default what it finds by itself."""
    mutants: int = 44
    """With --mutate: how many, the kinds of mistake taking turns; 0 is all."""


def main(args: list[str]) -> int:
    options = parsed(Check, "check", args)
    expect_seed(options.seed)
    _expect_effect(options)
    if options.mutate:
        return _mutate(options)
    if options.level == "full":
        ask_for_devices(DEVICES)
    need_device()
    verdicts, reports, raised = [], [], False
    declared = _declared(options)
    for subject, arguments in _subjects(options):
        report = _checked(subject, arguments, options, declared)
        verdicts.append(report.verdict)
        raised |= any(finding.code == "E-RAISE" for finding in report.findings)
        reports.append(json.loads(report.to_json()))
        if not options.json:
            show(f"{report.table()}\n")
    if options.json:
        print(json.dumps(reports, indent=1))
    elif len(verdicts) > 1:
        print(f"{verdicts.count('ok')} of {len(verdicts)} ok")
    if raised:
        return 2
    return next((EXIT[v] for v in ("fail", "not tested") if v in verdicts), 0)


def expect_seed(seed: int) -> None:
    """Refuse a seed that no generator takes."""
    if not 0 <= seed < SEEDS:
        raise ConfigError(f"seed is {seed}, expected 0 to {SEEDS - 1:,}")


def _expect_effect(options: Check) -> None:
    """Refuse options that would change nothing."""
    plain = Check()
    given = [k for k, v in vars(options).items() if v != getattr(plain, k)]
    of_ours = options.name in {rule.name for rule in RULES}
    for way, taken, idle in (
        ("--mutate", options.mutate, (*ONE, "all", "json", "level", "seed")),
        ("a check without --mutate", not options.mutate, ("tests", "mutants")),
        ("--all", options.all, (*ONE, "args")),
        ("a rule of the catalogue", of_ours, ("args",)),
    ):
        names = " and ".join(f"--{name}" for name in given if name in idle)
        if taken and names:
            raise ConfigError(f"{way} does not go with {names}: leave {names} out")


def _mutate(options: Check) -> int:
    """The user's tests against mutants of the user's backward pass."""
    if options.name is None or ":" not in options.name:
        raise ConfigError("--mutate takes one MODULE:FUNCTION of your own")
    place, arguments = options.name, options.args or ""
    try:
        subject, args = pytest_runs.subject_at(place, arguments)[1:]
    except (TypeError, ValueError, UserCodeError) as error:
        raise ConfigError(str(error)) from error
    found = mutants(subject, args, options.mutants)
    if not found:
        raise ConfigError(f"no edit of {subject.name}'s backward changes a gradient")
    print(
        f"{len(found)} mutants of {subject.name} ({subject.where}), a pytest run each"
    )
    numbers = [(m.number, str(m)) for m in found]
    jobs = max(1, (os.cpu_count() or 2) // 2)
    runs = pytest_runs.runs_of(place, arguments, numbers, list(options.tests), jobs)
    return _survivors(list(tqdm(runs, total=len(found), disable=None, leave=False)))


def _survivors(outcomes: list[pytest_runs.Outcome]) -> int:
    """Print who survived; the exit code is 1 if any did."""
    for outcome in outcomes:
        if outcome.verdict != "killed":
            detail = f": {outcome.detail}" if outcome.verdict == "did not run" else ""
            print(f"  {outcome.verdict}: {outcome.mutant}{detail}")
    killed = sum(outcome.verdict == "killed" for outcome in outcomes)
    print(f"your tests kill {killed} of {len(outcomes)}")
    return 0 if killed == len(outcomes) else 1


def _declared(options: Check) -> dict[str, Any]:
    """What is said of one function, as `check_vjp` takes it."""
    found: dict[str, Any] = {
        "zero": options.zero,
        "nondiff": options.nondiff,
        "linear": options.linear == "yes",
        "edges": options.edges == "yes",
    }
    for name in ("reference", "surrogate"):
        place = getattr(options, name)
        found[name] = lookup.find(place, f"--{name}") if place else None
    return found


def _checked(
    subject: Any, arguments: tuple, options: Check, declared: dict[str, Any]
) -> Report:
    kept: dict[str, Any] = {"level": options.level, "seed": options.seed, **declared}
    try:
        return check_vjp(subject, *arguments, **kept)
    except (TypeError, ValueError) as error:  # the call itself makes no sense
        raise ConfigError(str(error)) from error
    except SystemExit as error:
        raised = lookup.describe(error)
        raise ConfigError(f"{options.name} raised {raised}") from error


def _subjects(options: Check) -> Iterator[tuple[Any, tuple]]:
    """What to check, each with its example arguments."""
    rules = {rule.name: rule for rule in RULES}
    if options.all and options.name is None:
        yield from ((rule, ()) for rule in RULES)
    elif options.all or options.name is None:
        raise ConfigError(
            "expected either the name of a rule or --all; not both, not none"
        )
    elif options.name in rules:
        yield rules[options.name], ()
    elif ":" in options.name:
        function = lookup.find(options.name, "the function")
        yield function, lookup.arguments(options.args)
    else:
        expected = expected_one_of(options.name, rules, "or MODULE:FUNCTION")
        raise ConfigError(f"no rule {options.name!r}{expected}")
