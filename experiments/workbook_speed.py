"""How long does a check of the workbook take, cold and warm?

    python experiments/workbook_speed.py

Prints seconds: the first check in a new process with nothing compiled, the same with
JAX's compilations kept from an earlier session, the same in a process that was
started some seconds ahead, as a notebook's first cell does, and the check after a
save that changed nothing. Then the median over the gradients, and the most, of the
check after an edit of each, new to JAX: a right one, a known mistake, and one that
nothing explains, so that all explanations are tried. And the same over the bank of
answers of the tests.
"""

import os
import statistics
import tempfile
import time

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import Worker
from jaxninja.workbook.templates import lessons
from tests.workbook import bank

READING = 10  # seconds between a session's start and its first check
ODD = "jax.numpy.sin(3 * {0}) * {0} + jax.numpy.flip({0})"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        for number, exercise in EXERCISES.items():
            with Worker(limit=60) as worker:
                first = timed(worker, number, exercise.solution)
            with Worker(limit=60) as worker:
                again = timed(worker, number, exercise.solution)
            with Worker(limit=60) as worker:
                worker.start()
                time.sleep(READING)
                ready = timed(worker, number, exercise.solution)
                warm = timed(worker, number, exercise.solution)
                right = [timed(worker, number, t) for t in edits(number, "{} + 0.0")]
                known = [timed(worker, number, t) for t in edits(number, "-{}")]
                odd = [timed(worker, number, t) for t in edits(number, ODD)]
            print(
                f"exercise {number}: first {first:.1f} s, new session {again:.1f} s, "
                f"started ahead {ready:.2f} s, saved again {warm:.2f} s, "
                f"edited and right {summary(right)}, mistake {summary(known)}, "
                f"unknown {summary(odd)}",
                flush=True,
            )
        for kind, answers in {"wrong": bank.WRONG, "right": bank.RIGHT}.items():
            with Worker(limit=60) as worker:
                for number, exercise in EXERCISES.items():
                    timed(worker, number, exercise.solution)
                times = [timed(worker, n, answer(n, *rest)) for n, *rest in answers]
            print(f"{kind} answers of the bank: {summary(times)}", flush=True)


def answer(number: int, name: str, code: str) -> str:
    return bank.answered(number, **{name: bank.lines(name, code)})


def edits(number: int, change: str):
    """The solution with one line changed, a text for each gradient."""
    exercise = EXERCISES[number]
    for name, lesson in lessons(exercise).items():
        last = lesson.code[-1]
        after = f"    d{name} = " + change.format(f"d{name}")
        yield exercise.solution.replace(last, f"{last}\n{after}", 1)


def timed(worker: Worker, number: int, text: str) -> float:
    start = time.perf_counter()
    worker.check(number, text, EXERCISES[number].file)
    return time.perf_counter() - start


def summary(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} (at most {max(times):.2f}) s"


if __name__ == "__main__":
    main()
