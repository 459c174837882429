"""`jaxninja keep`: what waits in memory between the forward and the backward pass?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxninja import lookup
from jaxninja.check.errors import UserCodeError
from jaxninja.check.subject.kept_arrays import residuals_of
from jaxninja.cli.process.arguments import parsed
from jaxninja.errors import expected_one_of
from jaxninja.rules import RULES
from jaxninja.training.config import ConfigError
from jaxninja.training.machine.devices import need_device


@dataclass(frozen=True)
class Keep:
    """List every array that a backward pass keeps, and what autodiff would keep.

    Each with its shape, its bytes, the line of code that makes it, and the FLOPs that
    computing it anew from the arguments and the other kept arrays would take. Nothing
    is computed: a model of any size can be asked.

    Example: jaxninja keep attention
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """A rule, as `jaxninja rules` lists them, or MODULE:FUNCTION of your own."""
    args: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CALLABLE")] = None
    """What returns example arguments for a function of your own, as a tuple."""
    png: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Draw the bytes to this file, too."""


def main(args: list[str]) -> int:
    options = parsed(Keep, "keep", args)
    need_device()
    subject, arguments = _subject(options)
    try:
        kept = residuals_of(subject, *arguments)
    except (TypeError, ValueError, UserCodeError) as error:
        raise ConfigError(str(error)) from error
    print(kept.table())
    if options.png:
        _save(kept, options.png)
        print(f"drawn to {options.png}")
    return 0


def _subject(options: Keep) -> tuple[Any, tuple]:
    rules = {rule.name: rule for rule in RULES}
    if options.name in rules and options.args is None:
        return rules[options.name], ()
    if options.name in rules:
        raise ConfigError("--args goes with MODULE:FUNCTION: a rule has its own")
    if ":" not in options.name:
        expected = expected_one_of(options.name, rules, "or MODULE:FUNCTION")
        raise ConfigError(f"no rule {options.name!r}{expected}")
    return lookup.find(options.name, "the function"), lookup.arguments(options.args)


def _save(kept: Any, path: Path) -> None:
    from jaxninja import plots

    try:
        plots.save(plots.kept(kept), path)
    except OSError as error:
        raise ConfigError(f"--png {path} cannot be written: {error.strerror}") from None
