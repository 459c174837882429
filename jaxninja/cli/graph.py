"""`jaxninja graph`: the graph of a function, with all values and gradients."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxninja import lookup
from jaxninja.cli.process.arguments import parsed
from jaxninja.engine import Graph, backward, trace
from jaxninja.engine.errors import NoRule
from jaxninja.errors import UserError
from jaxninja.storage import atomic
from jaxninja.training.config import ConfigError
from jaxninja.training.machine.devices import need_device


@dataclass(frozen=True)
class Options:
    """Trace a function, walk its graph backwards, and show every node.

    Arrays are shown by their mean and standard deviation. The gradients are those of
    the function's value, which must be one real number; else there are none.

    Example: jaxninja graph my_file:loss --args my_file:example --svg graph.svg
    """

    function: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="MODULE:FUNCTION")
    ]
    """The function, as its module's name, a colon and its own."""
    args: Annotated[str | None, tyro.conf.arg(metavar="MODULE:CALLABLE")] = None
    """What returns the arguments, as a tuple."""
    svg: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Draw to this file, too."""
    fold: bool | None = None
    """Fold named scopes and jitted functions; by default in large graphs only."""


def main(args: list[str]) -> int:
    options = parsed(Options, "graph", args)
    need_device()
    function = lookup.find(options.function, "the function")
    if not callable(function):
        kind = type(function).__name__
        raise ConfigError(
            f"the function {options.function!r} is of type {kind}, expected a callable"
        )
    arguments = _arguments(options.args)
    graph = _traced(function, arguments, options.function)
    grads, missing = _gradients(graph, options.function)
    print(graph.to_text(grads, options.fold))
    if missing:
        print(f"no gradients: {missing}")
    if options.svg:
        atomic.write_text(options.svg, graph.to_svg(grads, options.fold))
        print(f"drawn to {options.svg}")
    return 0


def _arguments(place: str | None) -> tuple:
    if place is None:
        return ()
    made = lookup.call(place, "--args")
    if isinstance(made, tuple):
        return made
    given = type(made).__name__
    raise ConfigError(f"--args {place} returned a {given}, expected a tuple")


def _traced(function: Any, arguments: tuple, place: str) -> Graph:
    try:
        return trace(function, *arguments)
    except UserError:  # it says where, and what to do
        raise
    except (Exception, SystemExit) as error:
        raise _raised(place, error) from error


def _gradients(graph: Graph, place: str) -> tuple[Any, str]:
    """The gradients, or why there are none."""
    try:
        return backward(graph), ""
    except (NoRule, TypeError) as error:
        return None, str(error)
    except Exception as error:  # of a bwd of the user's
        raise _raised(place, error) from error


def _raised(place: str, error: BaseException) -> ConfigError:
    raised = lookup.describe(error)
    return ConfigError(f"the function {place!r} raised {raised}")
