"""Checks in a process of their own, which is ended when it takes too long.

An alarm does not stop a loop that JAX has compiled; the end of its process does. The
process is kept from check to check, as its start and JAX's compilations take seconds.
"""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from platformdirs import user_cache_dir

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.report import Report, Row, row_of
from jaxninja.workbook.texts.languages import current, phrase, sentence

LIMIT = 5.0  # seconds for one gradient
SIGNALS = hasattr(signal, "SIGUSR1")  # not on Windows
START = 120.0  # seconds for Python, JAX and the true gradients


class Worker:
    """A process that checks.

    Args:
        limit: seconds that one gradient may take.
    """

    def __init__(self, limit: float = LIMIT):
        self.limit = limit
        self._process: subprocess.Popen | None = None
        self._answers: queue.Queue = queue.Queue()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115, it is closed with this

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(self) -> None:
        """Start the process, so that it is ready when the first check comes."""
        self._started()

    def close(self) -> None:
        """End the process."""
        self._end()
        self._trace.close()

    def check(
        self, number: int, text: str, filename: str, everything: bool = False
    ) -> Report:
        """Check a file's text; see `grading.exercise.check`.

        Code that takes too long, or that ends the process, gives a report that says so.
        """
        start = time.perf_counter()
        process = self._started()
        request = dict(number=number, text=text, filename=filename)
        request |= dict(everything=everything, language=current())
        name, line, limit, rows = "", 0, START, list[Row]()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            while True:
                answer = self._answers.get(timeout=limit)
                if answer is None:
                    raise BrokenPipeError
                if "report" in answer:
                    return Report.from_json(answer["report"])
                if "row" in answer:
                    rows.append(row_of(**answer["row"]))
                else:
                    name, line = answer["running"]
                    limit = self.limit if name else START
        except KeyboardInterrupt:  # its answer, still to come, belongs to nobody
            self._end()
            raise
        except queue.Empty:
            place = self._stuck(filename) or line
            self._end()
            facts = dict(what=_gradient(number, name), limit=f"{self.limit:g}")
            message = sentence("too long", **facts)
        except BrokenPipeError:
            code = process.wait()
            self._end()
            what = _gradient(number, name)
            place, message = line, sentence("ended", what=what, code=code)
        seconds = time.perf_counter() - start
        return Report(
            number,
            filename,
            "error",
            tuple(rows),
            message,
            place or None,
            seconds=seconds,
            language=current(),
        )

    def _started(self) -> subprocess.Popen:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "jaxninja.workbook.process.worker"]
            trace = self._trace.fileno()
            self._trace.seek(0)
            self._trace.truncate()
            self._process = subprocess.Popen(
                [*command, str(trace)],
                pass_fds=[trace] if SIGNALS else (),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment(),
            )
            self._answers = queue.Queue()
            arguments = (self._process.stdout, self._answers)
            threading.Thread(target=_listen, args=arguments, daemon=True).start()
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                _close(stream)
            self._process = None

    def _stuck(self, filename: str) -> int | None:
        """The learner's line that the process stands at, if it will say so."""
        if self._process is None or not SIGNALS:
            return None
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        text = os.pread(self._trace.fileno(), 2**20, 0).decode(errors="replace")
        found = re.search(rf'File "{re.escape(filename)}", line (\d+)', text)
        return int(found[1]) if found else None


def _gradient(number: int, name: str) -> str:
    gradient = name in EXERCISES[number].names
    return f"d{name}" if gradient else phrase(name or "the file")


def _listen(stream, answers: queue.Queue) -> None:
    """Put each answer into the queue; None when there will be no more."""
    try:
        for line in stream:
            answers.put(json.loads(line))
    except ValueError:  # closed while reading
        pass
    answers.put(None)


def _close(stream) -> None:
    with contextlib.suppress(OSError):  # what was not flushed goes nowhere now
        stream.close()


def environment() -> dict[str, str]:
    """JAX on the CPU, quick to compile, its compilations kept between sessions.

    A learner's lines run a few times on small arrays: what optimising them costs is
    more than what it saves.
    """
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(Path(user_cache_dir("jaxninja")) / "workbook"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**cache, **quick, **quiet, **os.environ, "JAX_PLATFORMS": "cpu"}
