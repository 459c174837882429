"""A command's arguments as its options, and what is wrong with them in one line.

tyro draws a box around it, with help on every option that may have been meant.
"""

import re
import sys
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import tyro

from jaxninja.cli.process.choices import CHOICES
from jaxninja.errors import UserError, did_you_mean

NUMBERS = {"INT": "a whole number", "FLOAT": "a number"}
# between the parts; the first has the title within it where the output takes boxes
RULE = re.compile(r"\n?^(?:─ .* )?[─-]{3,}$\n?", re.MULTILINE)


class UsageError(UserError, ValueError):
    """Arguments that are not a command's; the message says which, and what is near."""


def parsed(kind: Any, command: str, args: list[str], **given: Any) -> Any:
    """What tyro makes of a command's arguments.

    Args:
        kind: a dataclass of options, or one for each of the command's own commands.
        command: its name, as `exercise`.
        args: what follows that name.
        given: for tyro, as `default`.

    Raises:
        UsageError: they cannot be read.
    """
    several = isinstance(kind, dict)
    read = tyro.extras.subcommand_cli_from_dict if several else tyro.cli
    given |= {"prog": f"jaxninja {command}", "args": args, "registry": CHOICES}
    with redirect_stderr(StringIO()) as told:
        try:
            found = read(kind, **given)
        except SystemExit as stop:
            if not stop.code:  # after -h
                raise
            raise UsageError(sentence(told.getvalue(), command)) from None
    sys.stderr.write(told.getvalue())
    return found


def sentence(box: str, command: str) -> str:
    """What tyro's box says, without its frame and in one line."""
    rows = "\n".join(row.strip("│╭╮╰╯ ") for row in box.splitlines())
    parts = RULE.split(rows)[1:] or [rows]  # without a frame
    what = parts[0].replace("\n", " ")
    more = f"; see `jaxninja {command} -h`"
    if found := re.match(r"Unrecognized options: (.*)", what):
        return _unknown(found[1].split(", "), parts[1:], more)
    if found := re.match(r"Error parsing (?:\S+/)?(\S+): .*('.*')", what):
        number = re.search("INT|FLOAT", parts[1])
        expected = f", expected {NUMBERS[number[0]]}" if number else more
        return f"{found[1]} is {found[2]}{expected}"
    if found := re.match(r"invalid choice (.*) for argument '(.*)'. .*\((.*)\)", what):
        values = re.sub("'|,$", "", found[3])
        return f"{found[2]} is {found[1]}, expected one of {values}"
    if found := re.match(r"Missing value for argument '(.*?)'", what):
        return f"{found[1]} needs a value{more}"
    if found := re.match(r"Missing from .*?: (\S+)", what):
        return f"{found[1]} is missing{more}"
    return what + more


def _unknown(given: list[str], near: list[str], more: str) -> str:
    """What was given and is no option, beside the nearest of those there are."""
    options = [word.split("=")[0] for word in given if word.startswith("-")]
    if not options and near[0].startswith("Available subcommands: "):
        known = near[0].replace("\n", " ").split(": ")[1].split(", ")
        hint = did_you_mean(given[0], known)
        return f"no command {given[0]!r}, expected {', '.join(known)}{hint}"
    if not options:
        return f"{given[0]!r} is an argument too many{more}"
    said = ("Perhaps you meant:", f"Arguments similar to {options[0]}")
    rows = "\n".join(part for part in near if part.startswith(said))
    meant = re.search(r"^(?:-\w .*?, )?(--[\w-]+)", rows, re.MULTILINE)
    hint = f"; did you mean {meant[1]}?" if meant else more
    return f"no option {options[0]}{hint}"
