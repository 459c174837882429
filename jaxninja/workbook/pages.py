"""The notebooks, made of the same solutions as the exercises: percent format, .ipynb.

`python -m jaxninja.workbook.pages FOLDER` writes workbook (the lecture's exercises) and
workbook_layers (the later ones) there; a test holds the committed ones to it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.templates import template
from jaxninja.workbook.texts.en import notebooks


def percent(cells: Iterator[str]) -> str:
    """A notebook in percent format."""
    return "\n\n".join(cells).rstrip() + "\n"


def _opening(introduction: str, imports: str) -> Iterator[str]:
    """What it is, where to install it, and what the later cells need."""
    yield _text(introduction + notebooks.COLAB)
    yield _code(notebooks.INSTALL)
    yield _code(notebooks.IMPORTS + imports)


def layers() -> Iterator[str]:
    """The cells of what comes after the lecture."""
    yield from _opening(
        notebooks.LAYERS,
        "from jaxninja.plots import png\n"
        "from jaxninja.training.progress import Lines\n"
        "from jaxninja.workbook import pictures\n"
        "from jaxninja.workbook.exercises import EXERCISES",
    )
    for number in (5, 6, 7, 8):
        head, *cells = _exercise(number)
        yield head
        yield _code(f"Image(png(pictures.graph(EXERCISES[{number}].network)))")
        yield from cells
    yield _text(notebooks.BLOCKS)
    yield _code(
        "if report8.ok:\n"
        '    route = workbook.save(backward, "exercise8.py")\n'
        "    of_blocks = dict(model='transformer', route=route, steps=1_000)\n"
        "    config = jaxninja.TrainConfig(**of_blocks)\n"
        "    run = jaxninja.train(config, progress=Lines(print))\n"
        '    print("\\n".join(summary(run)))'
    )
    yield _text(notebooks.COST)
    yield _code("if report8.ok:\n    print(workbook.cost(8, backward))")


def lecture() -> Iterator[str]:
    """The cells of the lecture's exercises."""
    yield from _opening(
        notebooks.INTRODUCTION,
        "from jaxninja.plots import exercises as figures\n"
        "from jaxninja.plots import png\n"
        "from jaxninja.training.progress import Lines\n"
        "from jaxninja.workbook import bessel, pictures\n\n"
        "sample = workbook.lecture_sample()",
    )
    yield _text(notebooks.GRAPH)
    yield _code("Image(png(pictures.graph(sample.network)))")
    yield from _exercise(1)
    yield _text(notebooks.CMP)
    yield _code(
        "from jaxninja.models import atomic\n\n"
        "params = {name: sample.values[name] for name in atomic.PARAMETERS}\n"
        'Xb, Yb = sample.values["Xb"], sample.values["Yb"]\n\n\n'
        "def network_loss(params):\n"
        '    return atomic.forward(params, Xb, Yb)["loss"]\n\n\n'
        "loss, grads = jax.jit(jaxninja.retain_grads(network_loss))(params)\n"
        'rounded = grads["h"].astype("bfloat16").astype("float32")\n'
        'print(jaxninja.cmp("h", rounded, grads["h"]))\n'
        'print(jaxninja.cmp("bnmeani", grads["bnmeani"][0], grads["bnmeani"]))'
    )
    yield _text(notebooks.ZERO)
    yield _code(
        'print("largest |db1|    ", jnp.abs(grads["b1"]).max())\n'
        'print("largest |dbnbias|", jnp.abs(grads["bnbias"]).max())\n'
        "one = jax.jit(atomic.forward)(params, Xb[:1], Yb[:1])\n"
        'print("a batch of one:  ", one["bnvar"][0, :3], one["loss"])'
    )
    yield from _exercise(2)
    yield _text(notebooks.FORCES)
    yield _code(
        'symbols = ".abcdefghijklmnopqrstuvwxyz"\n'
        'Image(png(figures.forces(grads["logits"], Yb, symbols)))'
    )
    yield _text(notebooks.BESSEL)
    yield _code(
        'for convention in bessel.conventions(sample.values["hprebn"][:, 0]):\n'
        "    print(convention)\n"
        "for n in (2, 32):\n"
        "    biased, unbiased = bessel.averages(n)\n"
        '    print(f"n = {n}: biased {biased:.4f}, unbiased {unbiased:.4f}, true 1")'
    )
    yield from _exercise(3)
    yield from _exercise(4)
    yield _text(notebooks.TRAIN)
    yield _code(
        "if report4.ok:\n"
        '    route = workbook.save(backward, "exercise4.py")\n'
        "    config = jaxninja.TrainConfig(route=route, steps=20_000)\n"
        "    run = jaxninja.train(config, progress=Lines(print))\n"
        '    print("\\n".join(summary(run)))'
    )
    yield _text(notebooks.COST)
    yield _code("if report4.ok:\n    print(workbook.cost(4, backward))")


def _exercise(number: int) -> Iterator[str]:
    """Docstring, function with gaps and check of one exercise."""
    exercise = EXERCISES[number]
    title, text = _docstring(exercise)
    yield _text(f"## {title}\n\n{text}")
    yield _code(_function(exercise))
    yield _code(f"report{number} = workbook.check({number}, backward)\nreport{number}")


def _docstring(exercise: Exercise) -> tuple[str, str]:
    whole = ast.get_docstring(ast.parse(exercise.solution)) or ""
    title, _, text = whole.partition("\n\n")
    return title.rstrip("."), text


def _function(exercise: Exercise) -> str:
    """The template without its docstring and imports."""
    text = template(exercise)
    start = text.index("def backward")
    return text[start:].rstrip()


def _text(text: str) -> str:
    shown = re.sub(r"\w*<\w+>", r"`\g<0>`", text)  # d<name>, which HTML would swallow
    lines = (f"# {line}".rstrip() for line in shown.strip().splitlines())
    return "# %% [markdown]\n" + "\n".join(lines)


def _code(text: str) -> str:
    return "# %%\n" + text


HEADER = """\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""


def write(folder: str | Path) -> None:
    """Write both notebooks, each as .py and .ipynb."""
    import jupytext

    for name, cells in {"workbook": lecture(), "workbook_layers": layers()}.items():
        text = HEADER + percent(cells)
        (Path(folder) / f"{name}.py").write_text(text, encoding="utf-8")
        notebook = jupytext.reads(text, fmt="py:percent")
        # pyrefly: ignore[missing-attribute]  a notebook, says its docstring
        for k, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{k}"  # the same each time
        jupytext.write(notebook, Path(folder) / f"{name}.ipynb")


if __name__ == "__main__":
    write(sys.argv[1])
