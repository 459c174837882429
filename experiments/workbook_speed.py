"""How long does a check of the workbook take, cold and warm?

    taskset -c 0 python experiments/workbook_speed.py

Prints a line for each exercise, in seconds of the processor: the first check in a new
process, beyond JAX's import and its first operation; the check after a save that
changed nothing; then, the median over the gradients and the most, the check after an
edit of each, new to JAX: a right one, a known mistake, and one that nothing explains,
so that all explanations are tried. And the same over the bank of answers of the tests,
with those that took more than a second.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import environment
from jaxninja.workbook.templates import lessons

ODD = "jax.numpy.sin(3 * {0}) * {0} + jax.numpy.flip({0})"
HEAD = (
    "| exercise | first | saved again | right | known mistake | unknown mistake |\n"
    "|---|---|---|---|---|---|"
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ.update(environment())  # what is measured here is as in a worker
        print(HEAD, flush=True)
        for number, exercise in EXERCISES.items():
            first = in_new_process(number)
            warm = [busy(number, exercise.solution) for _ in range(6)][1:]
            right = [busy(number, t) for t in edits(number, "{} + 0.0")]
            known = [busy(number, t) for t in edits(number, "-{}")]
            odd = [busy(number, t) for t in edits(number, ODD)]
            saved = f"{statistics.median(warm):.2f}"
            edited = map(summary, (right, known, odd))
            row = (str(number), f"{first:.2f}", saved, *edited)
            print(f"| {' | '.join(row)} |", flush=True)
        of_bank()


FIRST = """
import time
import jax.numpy as jnp
jnp.zeros(3) + 1
start = time.process_time()
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
exercise = EXERCISES[{number}]
assert check({number}, exercise.solution, exercise.file).ok
print(time.process_time() - start)
"""


def in_new_process(number: int) -> float:
    """Seconds of the processor that the first check takes, our own import included."""
    code = FIRST.format(number=number)
    command = [sys.executable, "-c", code]
    return float(subprocess.check_output(command, text=True))


def of_bank() -> None:
    from tests.workbook import bank

    slow = []
    for kind, answers in {"wrong": bank.WRONG, "right": bank.RIGHT}.items():
        times = {
            (n, name, code): busy(n, bank.answered(n, **{name: bank.lines(name, code)}))
            for n, name, code in answers
        }
        all_of_them = summary([*times.values()])
        cells = (all_of_them, "") if kind == "right" else ("", all_of_them)
        print(f"| the bank's {kind} answers | | | {' | '.join(cells)} | |", flush=True)
        slow += [(s, *what) for what, s in times.items() if s > 1]
    for seconds, n, name, code in slow:
        print(f"  {seconds:.2f} s: {n}.{name} {code}")


def edits(number: int, change: str):
    """The solution with one line changed, a text for each gradient."""
    exercise = EXERCISES[number]
    for name, lesson in lessons(exercise).items():
        last = lesson.code[-1]
        after = f"    d{name} = " + change.format(f"d{name}")
        yield exercise.solution.replace(last, f"{last}\n{after}", 1)


def busy(number: int, text: str) -> float:
    """Seconds of the processor, of a check in this process."""
    from jaxninja.workbook.grading.exercise import check

    start = time.process_time()
    check(number, text, EXERCISES[number].file)
    return time.process_time() - start


def summary(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({max(times):.2f})"


if __name__ == "__main__":
    main()
