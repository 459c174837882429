"""What surrounds a command: variables that JAX and XLA choke on, and the width.

JAX raises while it is imported if a variable of its own has a value that it does not
know, and XLA ends the whole process over an unknown flag. Both are said in one line
here. A command that computes nothing does without such a variable.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jaxninja.errors import UserError

NARROWEST = 40  # columns: tyro's help needs minutes for a narrower table
WIDEST = 1_000

# XLA parses its flags with its first client. This one is made in a child, which dies.
_PARSE = "from jaxlib import _jax; _jax.get_tfrt_cpu_client(asynchronous=False)"
_FATAL = re.compile(r"^F\d+ .*?\] (.*)", re.MULTILINE)


class VariableError(UserError):
    """A variable of the environment with a value that makes no sense."""


left_out: dict[str, str] = {}  # variable -> its value, of those that were taken away


def prepare(tolerant: bool) -> list[str]:
    """Import JAX, after a look at the variables that decide whether it can be.

    Args:
        tolerant: take a variable that JAX or XLA refuses out of the environment.

    Returns:
        A line for each variable that was taken out.

    Raises:
        VariableError: there is one, and it may not be taken out.
    """
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever a shell has set
    # that its cache is in a folder for once is nothing that a user need know
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    _set_width()
    lines = []
    for name, why in _refused():
        line = f"{name} is {os.environ[name]!r}, which {why}"
        if not tolerant:
            raise VariableError(f"{line}; correct it, or unset {name}")
        left_out[name] = os.environ.pop(name)
        lines.append(f"{line}; left out")
    _allow_transfers()
    return lines


@contextmanager
def deadly_interrupts() -> Iterator[None]:
    """Within, Ctrl-C ends the process without a word, as it does most programs."""
    changed = die_of_interrupts()
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def die_of_interrupts() -> bool:
    """From now on; False where Ctrl-C is ignored, or somebody else's."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    if ours and main:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ours and main


def _refused() -> Iterator[tuple[str, str]]:
    """Variables that are refused, with what refuses them and why; then JAX is there."""
    if "XLA_FLAGS" in os.environ and "jax" not in sys.modules and (why := _by_xla()):
        yield "XLA_FLAGS", f"XLA refuses: {why}"
    while True:
        try:
            import jax  # noqa: F401

            return
        except ValueError as error:
            if (name := _variable(str(error))) is None:
                raise
            yield name, f"JAX refuses: {error}"


def _by_xla() -> str | None:
    """What XLA's parser says of XLA_FLAGS before it ends the process, if it does."""
    command = [sys.executable, "-c", _PARSE]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    found = _FATAL.search(done.stderr) if done.returncode else None
    return found[1] if found else None


def _variable(message: str) -> str | None:
    """The variable that an error of JAX's names, as itself or as an option."""
    words = re.findall(r"jax[_.]\w+", message, re.IGNORECASE)
    names = (word.replace(".", "_").upper() for word in words)
    return next((name for name in names if name in os.environ), None)


def _allow_transfers() -> None:
    """A guard on transfers is for a program of one's own; a command's are all meant."""
    import jax

    jax.config.update("jax_transfer_guard", "allow")


def _set_width() -> None:
    """A width that help can be laid out in."""
    width = shutil.get_terminal_size().columns
    bounded = min(max(width, NARROWEST), WIDEST)
    if bounded != width:
        os.environ["COLUMNS"] = str(bounded)
