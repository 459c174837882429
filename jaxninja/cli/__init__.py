"""The command line: a command is a file of this folder with a `main(args) -> int`."""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable

from jaxninja.cli.process import environment, streams
from jaxninja.errors import TrainError, UserError, did_you_mean

COMMANDS = {
    "train": "train a network, the lecture's or another, with gradients by hand",
    "sweep": "many trainings at once, over seeds and learning rates",
    "eval": "losses of a run on train, val, val without the names of train, and test",
    "baseline": "how well counting does on the same data: n-grams, Witten-Bell",
    "sample": "new items or texts drawn from a trained network",
    "export": "the weights of a GPT-2 run, as the library transformers reads them",
    "report": "one HTML file on a run or several: figures, what is healthy, what to do",
    "check": "is a backward pass right? of a rule, or of a function of your own",
    "keep": "the arrays that a backward pass keeps, and what each would cost anew",
    "certify": "a table of every rule: rounding, transformations, mutants, source hash",
    "exercise": "the workbook: derive the gradients yourself, checked as you write",
    "rules": "all rules: shapes, residual bytes, source",
    "show": "derivation, forward and backward of a rule, or of the whole network",
    "book": "the handbook: a page for each rule and network, made from the library",
    "graph": "the graph of a function: every value, and its gradient",
    "doctor": "devices, versions, what a GPU would need, and numerical settings",
}

EXAMPLES = """\
  jaxninja train                  the lecture's network on 5,163 names, in seconds
  jaxninja check softmax          is this backward pass right?
  jaxninja exercise start         makes the exercises as files to fill in"""

# They compute nothing: a broken setting of JAX or XLA does not stop them.
NO_DEVICE = {"baseline", "doctor", "report", "rules", "show"}
HELP = {"-h", "--help"}
BUG = 70  # EX_SOFTWARE: no verdict of `check`, and no usage error


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or not 0 after one line that says why."""
    if argv is None:
        streams.read_names()
    args = sys.argv[1:] if argv is None else argv
    streams.prepare()
    try:
        code = _command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as in `jaxninja rules | head`
        streams.drop(sys.stdout)
        return 0
    finally:
        if argv is None:  # Python's own end would show a traceback of one more Ctrl-C
            environment.die_of_interrupts()


def _command(args: list[str]) -> int:
    if args and args[0] in ("-V", "--version"):
        from jaxninja import __version__

        print(f"jaxninja {__version__}")
        return 0
    if not args or args[0] in HELP:
        print(_usage())
        return 0 if args else 2
    if args[0] not in COMMANDS:
        hint = did_you_mean(args[0], COMMANDS)
        return _fail(f"no command {args[0]!r}, expected {', '.join(COMMANDS)}{hint}")
    try:
        run = _loaded(args[0], bool(HELP & set(args)))
    except environment.VariableError as error:
        return _fail(str(error))
    return _guarded(run, args[1:])


def _loaded(command: str, helping: bool) -> Callable[[list[str]], int]:
    """A command's `main`. Imports take a second, in which Ctrl-C ends the process:
    an exception out of an import may be swallowed, or leave half a module behind."""
    with environment.deadly_interrupts():
        for line in environment.prepare(helping or command in NO_DEVICE):
            print(f"jaxninja: {line}", file=sys.stderr)
        run = importlib.import_module(f"jaxninja.cli.{command}").main
        if command in NO_DEVICE - {"doctor"} and os.environ.get("JAX_PLATFORMS"):
            from jaxninja.training.machine.devices import cpu_at_least

            cpu_at_least()
        return run


def _guarded(run: Callable[[list[str]], int], args: list[str]) -> int:
    """What a user can fix is said in one line; any other error is a bug of ours."""
    with environment.deadly_interrupts():
        from jaxninja.training.machine.signals import Interrupted

    try:
        return run(args)
    except UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:  # a full or read-only disk, say
        return _fail(f"{error.filename or 'writing'}: {error.strerror or error}")
    except TrainError as error:
        return _fail(str(error), 1)
    except Interrupted as stop:
        print(f"{stop}; go on with: {stop.again}", flush=True)
        return 128 + stop.signum
    except KeyboardInterrupt:
        print("stopped; nothing more was saved", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            return _fail(f"out of memory, take smaller sizes ({_first_line(error)})")
        from jaxninja.training.machine.devices import no_device

        if why := no_device():
            return _fail(why)
        traceback.print_exc()
        return _fail("this is a bug of jaxninja's, not a verdict on anything", BUG)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _usage() -> str:
    lines = [f"  {name:<8} {what}" for name, what in COMMANDS.items()]
    head = "usage: jaxninja COMMAND [OPTIONS]\n\ncommands:\n"
    tail = f"\n\nexamples:\n{EXAMPLES}\n"
    tail += "\n`jaxninja COMMAND -h` lists a command's options with their defaults;"
    return head + "\n".join(lines) + tail + "\n`jaxninja --version` prints the version."


def _fail(message: str, code: int = 2) -> int:
    print(f"jaxninja: {message}", file=sys.stderr)
    return code
