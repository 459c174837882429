"""`jaxninja check`: is a hand-written backward pass right?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from jaxninja.check import Report, check_vjp
from jaxninja.cli.places import load
from jaxninja.config import ConfigError
from jaxninja.rules import RULES

# what a script can tell apart; 2 is a wrong command line
EXIT = {"ok": 0, "fail": 1, "not tested": 3}


@dataclass(frozen=True)
class Check:
    """Hold a backward pass against jax.vjp of its plain forward.

    Exit code 0: every gradient was tested and is right. 1: one is wrong. 3: nothing is
    wrong, but something could not be tested. 2: the command line makes no sense.
    """

    name: Annotated[str | None, tyro.conf.Positional] = None
    """A rule, as `jaxninja rules` lists them, or MODULE:FUNCTION of your own."""
    args: str | None = None
    """MODULE:CALLABLE that returns example arguments for a function of your own."""
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Check every rule of the catalogue."""
    level: Literal["quick", "standard", "full"] = "standard"
    """How much to try."""
    seed: int = 0
    """The same seed repeats the same check."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the reports as JSON."""


def main(args: list[str]) -> int:
    options = tyro.cli(Check, prog="jaxninja check", args=args)
    verdicts, reports = [], []
    for subject, arguments in _subjects(options):
        report = _checked(subject, arguments, options)
        verdicts.append(report.verdict)
        reports.append(json.loads(report.to_json()))
        if not options.json:
            print(report.table(), end="\n\n", flush=True)
    if options.json:
        print(json.dumps(reports, indent=1))
    elif len(verdicts) > 1:
        print(f"{verdicts.count('ok')} of {len(verdicts)} ok")
    return next((EXIT[v] for v in ("fail", "not tested") if v in verdicts), 0)


def _checked(subject: Any, arguments: tuple, options: Check) -> Report:
    try:
        return check_vjp(subject, *arguments, level=options.level, seed=options.seed)
    except (TypeError, ValueError) as error:  # the call itself makes no sense
        raise ConfigError(str(error)) from error


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
        arguments = load(options.args, "--args")() if options.args else ()
        yield load(options.name, "the function"), tuple(arguments)
    else:
        known = ", ".join(rules)
        raise ConfigError(
            f"no rule {options.name!r}, expected {known}, or MODULE:FUNCTION"
        )
