"""The process that runs a learner's code: requests on stdin, answers on stdout.

`python -m jaxninja.workbook.process.worker TRACE`. A request is one line of JSON, the
arguments of `grading.exercise.check`; the answers are lines of JSON:
{"running": [name, line]} before each gradient, {"row": ...} after it, {"report": ...}
at the end. The learner's own prints go to stderr, a screenful of them. Upon SIGUSR1 the
Python lines that it stands at are written to TRACE, an open file's number: for whoever
lost patience, and is about to end this process. It ends by itself, whatever it is at,
when stdin does: whoever asked is gone.

While nobody asks, it makes the true gradients that the next checks need.
"""

import dataclasses
import faulthandler
import io
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator

from jaxninja.workbook.report import Report, Row
from jaxninja.workbook.texts.languages import sentence, speaking


def main(trace: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this
    requests, answers = _streams()
    if hasattr(faulthandler, "register"):  # not on Windows: no line then
        faulthandler.register(signal.SIGUSR1, trace, all_threads=False)
    from jaxninja.workbook.grading.exercise import check, prepared

    def tell(name: str, number: int) -> None:
        _send(answers, {"running": [name, number]})

    def done(row: Row) -> None:
        _send(answers, {"row": dataclasses.asdict(row)})

    lines: queue.Queue = queue.Queue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    request = {"number": 1}
    while True:
        request = json.loads(_asked(lines, prepared(request["number"])))
        with speaking(request.get("language", "en")):
            sys.stdout = Screenful(sys.stderr, sentence("and more"))
        try:
            report = check(**request, tell=tell, done=done)
        except Exception as error:
            report = _failed(request, error)
        _send(answers, {"report": report.to_json()})


def _asked(lines: queue.Queue, idle: Iterator) -> str:
    """The next request as soon as it is there; until then `idle` takes its steps."""
    while lines.empty() and next(idle, None) is not None:
        pass
    return lines.get()


def _listen(requests, lines: queue.Queue) -> None:
    for line in requests:
        lines.put(line)
    os._exit(0)  # even out of a loop that JAX has compiled


class Screenful(io.TextIOBase):
    """Passes on what fits on a screen, and says that there was more.

    Args:
        stream: where it goes.
        more: what is said of the rest.
    """

    LINES, CHARACTERS = 40, 4_000

    def __init__(self, stream, more: str):
        self._stream, self._more = stream, more
        self._lines, self._left = self.LINES, self.CHARACTERS

    def write(self, text: str) -> int:
        if self._left > 0 and self._lines > 0:
            shown = "".join(text.splitlines(keepends=True)[: self._lines])[: self._left]
            self._lines -= shown.count("\n")
            self._left -= len(shown)
            self._stream.write(shown)
            if self._left <= 0 or self._lines <= 0:
                self._stream.write(f"\n{self._more}\n")
            self._stream.flush()
        return len(text)


def _failed(request: dict, error: Exception) -> Report:
    """A mistake in the check itself: the learner is to know that it is not theirs."""
    file, language = request["filename"], request.get("language", "en")
    with speaking(language):
        first = (str(error).splitlines() or [sentence("no message")])[0]
        text = sentence("check failed", kind=type(error).__name__, message=first)
    return Report(request["number"], file, "error", (), text, language=language)


def _streams():
    """Private copies of stdin and stdout; the learner's are nothing, and stderr."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


def _send(answers, message: dict) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
