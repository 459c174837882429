"""How long does a check of the workbook take, cold and warm?

    taskset -c 0 python experiments/workbook_speed.py

Prints seconds of the clock: the first check in a new process with nothing compiled, the
same with JAX's compilations kept from an earlier session, the same in a process that
was started some seconds ahead, as a notebook's first cell does, and the check after a
save that changed nothing. Then processor seconds, the median over the gradients and the
most, of the check after an edit of each, new to JAX: a right one, a known mistake, and
one that nothing explains, so that all explanations are tried. And the same over the
bank of answers of the tests, with those that took more than a second.
"""

import os
import statistics
import tempfile
import time

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import Worker, environment
from jaxninja.workbook.templates import lessons

READING = 10  # seconds between a session's start and its first check
ODD = "jax.numpy.sin(3 * {0}) * {0} + jax.numpy.flip({0})"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ.update(environment())  # what is measured here is as in a worker
        for number, exercise in EXERCISES.items():
            started(number, exercise.solution)
        for number, exercise in EXERCISES.items():
            busy(number, exercise.solution)
            right = [busy(number, t) for t in edits(number, "{} + 0.0")]
            known = [busy(number, t) for t in edits(number, "-{}")]
            odd = [busy(number, t) for t in edits(number, ODD)]
            print(
                f"exercise {number}: edited and right {summary(right)}, mistake "
                f"{summary(known)}, unknown {summary(odd)}",
                flush=True,
            )
        of_bank()


def started(number: int, text: str) -> None:
    """The first checks of a process, by the clock."""
    with Worker(limit=60) as worker:
        first = timed(worker, number, text)
    with Worker(limit=60) as worker:
        again = timed(worker, number, text)
    with Worker(limit=60) as worker:
        worker.start()
        time.sleep(READING)
        ready = timed(worker, number, text)
        warm = timed(worker, number, text)
    print(
        f"exercise {number}: first {first:.1f} s, new session {again:.1f} s, "
        f"started ahead {ready:.2f} s, saved again {warm:.2f} s",
        flush=True,
    )


def of_bank() -> None:
    from tests.workbook import bank

    for kind, answers in {"wrong": bank.WRONG, "right": bank.RIGHT}.items():
        times = {
            (n, name, code): busy(n, bank.answered(n, **{name: bank.lines(name, code)}))
            for n, name, code in answers
        }
        print(f"{kind} answers of the bank: {summary([*times.values()])}", flush=True)
        for (n, name, code), seconds in times.items():
            if seconds > 1:
                print(f"  {seconds:.2f} s: {n}.{name} {code}")


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


def busy(number: int, text: str) -> float:
    """Seconds of the processor, of a check in this process."""
    from jaxninja.workbook.grading.exercise import check

    start = time.process_time()
    check(number, text, EXERCISES[number].file)
    return time.process_time() - start


def summary(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} (at most {max(times):.2f}) s"


if __name__ == "__main__":
    main()
