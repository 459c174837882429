"""The command line: a command is a file of this folder with a `main(args) -> int`."""

import difflib
import importlib
import os
import signal
import sys

COMMANDS = {
    "train": "train the lecture's network with gradients derived by hand",
    "sweep": "many trainings at once, over seeds and learning rates",
    "eval": "losses of a run on train, val, the clean part of val, and test",
    "sample": "items that a run invents",
    "report": "one HTML file on a run or several: figures, what is healthy, what to do",
    "check": "is a backward pass right? of a rule, or of a function of your own",
    "certify": "a table of what is proved of every rule, and at which source",
    "exercise": "the workbook: derive the gradients yourself, with an honest check",
    "rules": "all rules: shapes, residual bytes, source",
    "show": "derivation, forward and backward of a rule, or of the whole network",
    "graph": "the graph of a function: every value, and its gradient",
    "doctor": "devices, versions and numerical settings",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or not 0 after one line that says why."""
    args = sys.argv[1:] if argv is None else argv
    if args and args[0] in ("-V", "--version"):
        from jaxninja import __version__

        print(f"jaxninja {__version__}")
        return 0
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
        return 0 if args else 2
    if args[0] not in COMMANDS:
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return _fail(f"no command {args[0]!r}, expected {', '.join(COMMANDS)}{hint}")
    return _guarded(args[0], args[1:])


def _guarded(command: str, args: list[str]) -> int:
    """What a user can mend is said in one line; any other error is a bug of ours."""
    from jaxninja.checkpoint import CheckpointError
    from jaxninja.config import ConfigError
    from jaxninja.data import DataError
    from jaxninja.folder import FolderError
    from jaxninja.models.learner import RouteError
    from jaxninja.mutate.trial import TrialError
    from jaxninja.run import RunError
    from jaxninja.sample import SampleError
    from jaxninja.training import Interrupted, TrainError
    from jaxninja.workbook.progress import WorkbookError

    user_errors = (CheckpointError, ConfigError, DataError, FolderError, RunError)
    user_errors = (*user_errors, TrialError)
    try:
        code = importlib.import_module(f"jaxninja.cli.{command}").main(args)
        sys.stdout.flush()
        return code
    except (*user_errors, RouteError, SampleError, WorkbookError) as error:
        return _fail(str(error))
    except BrokenPipeError:  # as in `jaxninja rules | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full or read-only disk, say
        return _fail(f"{error.filename or 'writing'}: {error.strerror or error}")
    except TrainError as error:
        return _fail(str(error), 1)
    except Interrupted as stop:
        print(f"{stop}; go on with: jaxninja train --resume {stop.path}")
        return 128 + stop.signum
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _usage() -> str:
    lines = [f"  {name:<8} {what}" for name, what in COMMANDS.items()]
    head = "usage: jaxninja COMMAND [OPTIONS]\n\ncommands:\n"
    tail = "\n\n`jaxninja COMMAND -h` lists a command's options with their defaults;"
    return head + "\n".join(lines) + tail + "\n`jaxninja --version` prints the version."


def _fail(message: str, code: int = 2) -> int:
    print(f"jaxninja: {message}", file=sys.stderr)
    return code
