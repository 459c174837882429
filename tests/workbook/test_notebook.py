"""The notebook is made of the solutions, and runs: with gaps, and with them filled."""

import linecache
import re
from pathlib import Path

import jax
import nbclient
import nbformat
import pytest

from jaxninja import workbook
from jaxninja.workbook import notebook, pages
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.progress import Progress
from jaxninja.workbook.templates import template

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = "diagnose=0, layers=1, heads=2, embedding=8"


def test_the_committed_pairs_are_the_generated_ones(tmp_path):
    pages.write(tmp_path)
    for name in ("workbook", "workbook_layers"):
        written = (EXPERIMENTS / f"{name}.py").read_text()
        assert written == (tmp_path / f"{name}.py").read_text()
        pair = [nbformat.read(f / f"{name}.ipynb", 4) for f in (tmp_path, EXPERIMENTS)]
        cells = [[(c.cell_type, c.source) for c in notebook.cells] for notebook in pair]
        assert cells[0] == cells[1]


def run(notebook, folder):
    """Every cell from top to bottom; raises where a cell does."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    data = [o.get("data", {}) for o in outputs]
    text = "".join(o.get("text", "") for o in outputs)
    return text, "".join(d.get("text/html", "") for d in data)


@pytest.mark.filterwarnings("ignore")
def test_it_runs_with_gaps_and_then_filled(tmp_path):
    """All of it with gaps; then in the same kernel what depends on the exercises."""
    notebook = nbformat.read(EXPERIMENTS / "workbook.ipynb", 4)
    notebook.cells += [c for c in filled().cells if "backward" in c.source]
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{k}"
    text, html = run(notebook, tmp_path)
    assert html.count("comes next") == 4
    assert "shape (64,), expected (1, 64)" in text
    assert len(re.findall(r"Exercise \d is done", html)) == 4
    assert html.count("data:image/png") == 8
    assert "was made by autodiff" in text
    assert "the lecture, after 200,000 steps: train 2.0705, val 2.1099" in text
    assert re.search(r"samples    20, of which \d+ are not in the data", text)
    assert "yours keeps 5 of the forward" in text
    assert (tmp_path / "exercise4.py").exists()


@pytest.mark.filterwarnings("ignore")
def test_the_later_one_runs_with_gaps_and_then_filled(tmp_path):
    notebook = nbformat.read(EXPERIMENTS / "workbook_layers.ipynb", 4)
    cells = [c for c in filled("workbook_layers").cells if "backward" in c.source]
    for cell in cells:
        cell.source = cell.source.replace("steps=1_000", f"steps=20, {SMALL}")
    notebook.cells += cells
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{k}"
    text, html = run(notebook, tmp_path)
    assert html.count("comes next") == 4
    assert len(re.findall(r"Exercise \d is done", html)) == 4
    assert html.count("data:image/png") == 4 + 2 * 4 + 2  # graphs; two Jacobians
    assert "was made by autodiff" in text
    assert re.search("yours keeps .* of the forward", text)


def filled(name="workbook"):
    """The solutions in place of the exercises, and a short run: it is the route's."""
    notebook = nbformat.read(EXPERIMENTS / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        for exercise in EXERCISES.values():
            gaps = cell.source == function(template(exercise))
            cell.source = function(exercise.solution) if gaps else cell.source
        cell.source = cell.source.replace("steps=20_000", "steps=200, diagnose=0")
    return notebook


def function(text):
    return text[text.index("def backward") :].rstrip()


def test_a_function_without_source_is_refused():
    scope = {}
    exec("def backward(n):\n    return n", scope)
    with pytest.raises(ValueError, match="has no source to read"):
        workbook.check(2, scope["backward"])
    with pytest.raises(ValueError, match="a lambda has no lines to read: define it"):
        workbook.check(2, lambda logits, Yb, n: logits)
    with pytest.raises(ValueError, match="exercise 99: expected 1 to 8"):
        workbook.check(99, filled)


def test_hints_climb_and_say_what_is_next():
    first, second = workbook.hint("1.dh"), workbook.hint("1.h")
    assert first.startswith("shape ")
    assert first.endswith("again for more: rule")
    assert second.startswith(first.removesuffix("again for more: rule"))
    assert "rule " in second
    assert repr(second) == str(second)  # what a cell shows of its last line


def backward(logits, Yb, n):
    dlogits = (jax.nn.softmax(logits, 1) - jax.nn.one_hot(Yb, logits.shape[1])) / n
    return dlogits


CELL = """\
import jax.numpy as jnp
from jax.nn import softmax
from jaxninja import workbook

unused = undefined if False else 1


def divided(x, by):
    return x / by


{above}def backward(logits, Yb, n):
    dlogits = softmax(logits, 1) - one_hot(Yb, logits)
    dlogits = divided(dlogits, n)
    return dlogits


class Hot:
    def __call__(self, Yb, x):
        return 1.0 * (jnp.arange(x.shape[1]) == Yb[:, None])


one_hot = Hot()
"""


def cell(text, name="a cell"):
    """The names that a cell makes; its text is kept, as a notebook does."""
    lines = text.splitlines(keepends=True)
    linecache.cache[name] = (len(text), None, lines, name)
    scope = {}
    exec(compile(text, name, "exec"), scope)
    return scope


@pytest.mark.parametrize("above", ["", "@jax.jit\n"])
def test_a_function_has_what_its_cell_makes(worker, monkeypatch, above, tmp_path):
    monkeypatch.setattr(notebook, "_worker", lambda: worker)
    text = CELL.format(above=above)
    text = f"import jax\n{text}" if above else text
    backward = cell(text)["backward"]
    assert workbook.check(2, backward).ok
    saved = Path(workbook.save(backward, tmp_path / "exercise2.py")).read_text()
    assert check(2, saved, "exercise2.py", explain=False).ok
    assert "unused" not in saved
    assert "jaxninja" not in saved
    assert "return x / by\n\n\n" in saved
    wrong = cell(text.replace("return x / by", "return x"))["backward"]
    report = workbook.check(2, wrong)
    line = text.splitlines()[report.line - 1].strip()
    assert line == "dlogits = divided(dlogits, n)"


def test_what_another_cell_makes_is_not_there(worker, monkeypatch):
    monkeypatch.setattr(notebook, "_worker", lambda: worker)
    backward = cell("def backward(logits, Yb, n):\n    dlogits = step(logits)\n")
    (hint,) = workbook.check(2, backward["backward"]).hints
    told = "step is not defined: backward sees its own cell, jax, jnp and np"
    assert str(hint).startswith(told)


def test_what_is_right_for_the_first_time_is_explained(worker, monkeypatch):
    monkeypatch.setattr(notebook, "_worker", lambda: worker)
    monkeypatch.setattr(notebook, "_progress", Progress(Path(), {}))
    with pytest.raises(ValueError, match=r"2.logits is not right yet: `workbook.hint"):
        workbook.why("2.logits")
    first, again = (workbook.check(2, backward) for _ in range(2))
    assert "Each row sums to zero" in " ".join(repr(workbook.why("2.logits")).split())
    assert first.ok
    assert "Right for the first time" in first._repr_html_()
    assert "Each row sums to zero" in " ".join(first.table().split())
    assert "Each row sums to zero" not in again.table()
