"""`jaxninja graph`: the graph of a function, with all values and gradients."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxninja.cli.places import load
from jaxninja.config import ConfigError
from jaxninja.engine import Graph, backward, trace
from jaxninja.engine.errors import NoRule


@dataclass(frozen=True)
class Options:
    """Trace a function, walk its graph backwards, and show every node.

    Arrays are shown by their mean and standard deviation. The gradients are those of
    the function's value, which must be one real number; else there are none.
    """

    function: Annotated[str, tyro.conf.Positional]
    """MODULE:FUNCTION."""
    args: str | None = None
    """MODULE:CALLABLE that returns the arguments, a tuple."""
    svg: Path | None = None
    """Draw to this file, too."""
    fold: bool | None = None
    """Fold named scopes and jitted functions; by default in large graphs only."""


def main(args: list[str]) -> int:
    options = tyro.cli(Options, prog="jaxninja graph", args=args)
    function = load(options.function, "the function")
    graph = _traced(function, _arguments(options.args))
    grads, missing = _gradients(graph)
    print(graph.to_text(grads, options.fold))
    if missing:
        print(f"no gradients: {missing}")
    if options.svg:
        options.svg.write_text(graph.to_svg(grads, options.fold), encoding="utf-8")
        print(f"drawn to {options.svg}")
    return 0


def _arguments(place: str | None) -> tuple:
    if place is None:
        return ()
    made = load(place, "--args")()
    if isinstance(made, tuple):
        return made
    given = type(made).__name__
    raise ConfigError(f"--args {place} returned a {given}, expected a tuple")


def _traced(function: Any, arguments: tuple) -> Graph:
    try:
        return trace(function, *arguments)
    except (TypeError, ValueError) as error:  # the call itself makes no sense
        raise ConfigError(f"{error}".splitlines()[0]) from error


def _gradients(graph: Graph) -> tuple[Any, str]:
    """The gradients, or why there are none."""
    try:
        return backward(graph), ""
    except (NoRule, TypeError) as error:
        return None, str(error)
