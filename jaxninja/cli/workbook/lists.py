"""What is done, and what is to do."""

from jaxninja.cli.workbook import screen
from jaxninja.workbook import templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.learner import again
from jaxninja.workbook.progress import Progress
from jaxninja.workbook.report import MARK


def overview(state: Progress) -> None:
    """Each exercise: how much is right, what is wrong or next, what is to do again."""
    for number, exercise in EXERCISES.items():
        right = state.right(number)
        done = "done" if state.is_done(number) else ""
        head = f"{len(right)} of {len(exercise.names)}"
        line = f"exercise {number}  {head:<9} {exercise.title:<40} {done}".rstrip()
        print(screen.text([screen.painted(line, "ok" if done else None)]))
        todo = [name for name in exercise.names if name not in right]
        wrong = [n for n in todo if state.entry(number, n)["status"] == "wrong"]
        if wrong:
            print(screen.text([f"            wrong: {', '.join(wrong)}"]))
        elif todo and right:
            print(f"            next: {todo[0]}")
    if (found := again.due(state)) is not None:
        print(f"a week ago: `jaxninja exercise again {found[0]}.{found[1]}`")


def gradients(state: Progress, number: int) -> str:
    """An exercise, a gradient a line: its status, and what it takes."""
    lines = []
    for name in EXERCISES[number].names:
        entry = state.entry(number, name)
        read = f"  hints: {entry['hints']}" if entry["hints"] else ""
        effort = templates.effort(number, name)
        line = f"{MARK[entry['status']]:<9} {number}.{name:<14} {effort}{read}"
        lines += [screen.painted(part, entry["status"]) for part in screen.fitted(line)]
    return "\n".join(lines)


def graph(state: Progress, number: int) -> str:
    """The graph as text: each gradient, backwards, and those that it is made of."""
    exercise = EXERCISES[number]
    lines = []
    for name in exercise.names:
        status = state.entry(number, name)["status"]
        sources = ", ".join(f"d{k}" for k in sorted(exercise.sources(name)[0]))
        line = f"{MARK[status]:<9}  d{name:<15}  <- {sources}"
        lines += [screen.painted(part, status) for part in screen.fitted(line)]
    return "\n".join(lines)
