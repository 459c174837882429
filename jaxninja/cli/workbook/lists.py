"""What is done, and what is to do."""

from jaxninja.cli.workbook import screen
from jaxninja.workbook import templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.learner import again
from jaxninja.workbook.progress import Progress
from jaxninja.workbook.report import mark
from jaxninja.workbook.texts.languages import sentence
from jaxninja.workbook.texts.wrapping import padded


def overview(state: Progress) -> None:
    """Each exercise: how much is right, what is wrong or next, what is to do again."""
    for number, exercise in EXERCISES.items():
        right = state.right(number)
        done = sentence("finished") if state.is_done(number) else ""
        head = sentence("of", count=len(right), of=len(exercise.names))
        title = padded(templates.title(exercise), 40)
        first = sentence("exercise", number=number)
        line = f"{first}  {padded(head, 9)} {title} {done}".rstrip()
        print(screen.text([screen.painted(line, "ok" if done else None)]))
        todo = [name for name in exercise.names if name not in right]
        wrong = [n for n in todo if state.entry(number, n)["status"] == "wrong"]
        if wrong:
            text = sentence("wrong", names=", ".join(wrong))
            print(screen.text([f"            {text}"]))
        elif todo and right:
            print(f"            {sentence('first', name=todo[0])}")
    if (found := again.due(state)) is not None:
        how = f"`jaxninja exercise again {found[0]}.{found[1]}`"
        print(sentence("week", how=how))


def gradients(state: Progress, number: int) -> str:
    """An exercise, a gradient a line: its status, and what it takes."""
    lines = []
    for name in EXERCISES[number].names:
        entry = state.entry(number, name)
        read = sentence("hints", count=entry["hints"]) if entry["hints"] else ""
        effort = templates.effort(number, name)
        status = padded(mark(entry["status"]), 9)
        line = f"{status} {number}.{name:<14} {effort}  {read}".rstrip()
        lines += [screen.painted(part, entry["status"]) for part in screen.fitted(line)]
    return "\n".join(lines)


def graph(state: Progress, number: int) -> str:
    """The graph as text: each gradient, backwards, and those that it is made of."""
    exercise = EXERCISES[number]
    lines = []
    for name in exercise.names:
        status = state.entry(number, name)["status"]
        sources = ", ".join(f"d{k}" for k in sorted(exercise.sources(name)[0]))
        line = f"{padded(mark(status), 9)}  d{name:<15}  <- {sources}"
        lines += [screen.painted(part, status) for part in screen.fitted(line)]
    return "\n".join(lines)
