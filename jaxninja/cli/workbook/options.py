"""The options of `jaxninja exercise`: a class a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxninja.workbook import progress
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import LIMIT

NUMBERS: Any = Literal[tuple(EXERCISES)]  # type: ignore
Number = Annotated[NUMBERS, tyro.conf.Positional]
Maybe = Annotated[NUMBERS | None, tyro.conf.Positional]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Start:
    """Make the exercises in a folder; files that exist stay as they are."""

    dir: Annotated[str, tyro.conf.Positional] = progress.FOLDER
    """The folder."""
    lang: str | None = None
    """en or zh, 中文: of the files, and from now on of all commands in the folder."""


@dataclass(frozen=True, kw_only=True)
class InFolder:
    """What all commands have that work in a folder made before."""

    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""
    lang: str | None = None
    """en or zh; by default as the workbook was started."""


@dataclass(frozen=True)
class Check(InFolder):
    """Check an exercise, backwards, down to the first wrong gradient.

    Exit code 0: done. 1: a gradient is wrong, or the file does not run. 3: right as far
    as it goes.

    Example: jaxninja exercise check 1
    """

    number: Number
    """The exercise's number; `jaxninja exercise list` has them all."""
    all: Flag = False
    """Go on after the first wrong gradient: which errors are inherited?"""
    cost: Flag = False
    """Print what the finished exercise costs, beside jax.grad."""
    limit: float = LIMIT
    """Seconds that one gradient may take."""


@dataclass(frozen=True)
class Watch(InFolder):
    """Check an exercise each time that its file is saved; q or Ctrl-C ends it.

    On a terminal keys do the rest: h for a hint, n for the next exercise, l for the
    list, g for the graph, c to check all.
    """

    number: Maybe = None
    """The exercise's number; by default whichever file is saved."""
    limit: float = LIMIT
    """Seconds that one gradient may take."""


@dataclass(frozen=True)
class List(InFolder):
    """Show what is done and to do, in all exercises or one, or why a gradient is right.

    Example: jaxninja exercise list 1
    """

    place: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[N.NAME]")
    ] = None
    """N, or N.NAME of a gradient that is right."""


@dataclass(frozen=True)
class Hint(InFolder):
    """Show one more hint: shape, rule, steps, formula, one line, solution.

    Example: jaxninja exercise hint 1.counts
    """

    place: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="N.NAME")]
    """The exercise and the gradient, as 1.counts."""


@dataclass(frozen=True)
class Reset(InFolder):
    """Restore an exercise to its initial file; what you wrote is kept beside it.

    Example: jaxninja exercise reset 1
    """

    number: Number
    """The exercise's number; `jaxninja exercise list` has them all."""


@dataclass(frozen=True)
class Again(InFolder):
    """Blank a gradient that was right a week ago; the file as it was is kept.

    Example: jaxninja exercise again 1.counts
    """

    place: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[N.NAME]")
    ] = None
    """N.NAME; by default the one that has been right for the longest."""


@dataclass(frozen=True)
class Page(InFolder):
    """Write an HTML page with your own lines for each gradient that is right."""

    out: Annotated[Path, tyro.conf.Positional] = Path("backprop_by_hand.html")
    """The file, HTML."""


@dataclass(frozen=True)
class Import(InFolder):
    """Translate your solved notebook of the lecture, PyTorch, to exercises 1 to 3.

    What has no translation stays as a comment. All that is translated is checked; the
    exit code is that of the exercise that fares worst, as `check` has it.

    Example: jaxninja exercise import build_makemore_backprop_ninja.ipynb
    """

    notebook: Annotated[Path, tyro.conf.Positional]
    """The file, .ipynb."""
    limit: float = LIMIT
    """Seconds that one gradient may take."""
