"""The notebook runs, finds all gradients right, and its two files are one."""

import json
import re
import runpy
import warnings
from pathlib import Path

import matplotlib
import pytest

import experiments

SCRIPT = Path(experiments.__file__).parent / "from_bigram_to_transformer.py"


def cells_of_the_script():
    """Kind and text of each cell of the percent format."""
    _, *cells = re.split(r"^# %%", SCRIPT.read_text(), flags=re.MULTILINE)
    for cell in cells:
        head, _, body = cell.partition("\n")
        markdown = "[markdown]" in head
        lines = body.strip().split("\n")
        text = [re.sub("^# ?", "", line) for line in lines] if markdown else lines
        yield "markdown" if markdown else "code", "\n".join(text)


def test_the_notebook_is_the_script_with_its_results():
    notebook = json.loads(SCRIPT.with_suffix(".ipynb").read_text())
    cells = [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]]
    assert cells == list(cells_of_the_script())
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1
    assert not [o for o in outputs if o["output_type"] == "error"]


def test_the_script_runs_and_a_mistake_would_show(capsys):
    matplotlib.use("agg")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        scope = runpy.run_path(str(SCRIPT))
    out = capsys.readouterr().out
    errors = re.findall(r"^d\w+ +(\S+) (True|False)$", out, re.MULTILINE)
    assert len(errors) == 46
    assert all(float(e) < 1e-12 and verdict == "True" for e, verdict in errors)
    assert "rows of dS sum to 0: True" in out
    model = scope["network"].MODELS["bigram"](scope["V"], scope["T"])
    scope["judge"](model, lambda p: {"W": 1.001 * scope["bigram"](p)["W"]})
    assert capsys.readouterr().out.split()[1:] == ["1.0e-03", "False"]
    with pytest.raises(AssertionError):
        scope["judge"](model, lambda p: {})
