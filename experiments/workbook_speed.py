"""How long does a check of the workbook take, cold and warm?

    python experiments/workbook_speed.py

Prints seconds: the first check in a new process with nothing compiled, the same with
JAX's compilations kept from an earlier session, the check after a save that changed
nothing, and the median over exercise 1's lines of the check after an edit of the line,
each edit new to JAX.
"""

import os
import statistics
import tempfile
import time

from jaxninja.workbook.client import Worker
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.lessons import lessons


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        for number, exercise in EXERCISES.items():
            with Worker(limit=60) as worker:
                first = timed(worker, number, exercise.solution)
            with Worker(limit=60) as worker:
                again = timed(worker, number, exercise.solution)
                warm = timed(worker, number, exercise.solution)
                right = [timed(worker, number, t) for t in edits(number, "{} + 0.0")]
                wrong = [timed(worker, number, t) for t in edits(number, "{} * 1.01")]
            print(
                f"exercise {number}: first {first:.1f} s, new session {again:.1f} s, "
                f"saved again {warm:.2f} s, edited and right {summary(right)}, "
                f"edited and wrong, with diagnosis {summary(wrong)}",
                flush=True,
            )


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
    return f"{statistics.median(times):.2f} s (at most {max(times):.2f})"


if __name__ == "__main__":
    main()
