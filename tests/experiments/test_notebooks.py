"""The notebooks run, find all gradients right, and each is one in its two files."""

import json
import re
import runpy
import warnings
from pathlib import Path

import jupytext
import matplotlib
import pytest

import experiments

# name -> kind and number of its pictures
NOTEBOOKS = {
    "engine_tutorial": ("image/svg+xml", 5),
    "from_bigram_to_transformer": ("image/png", 1),
}


def script(name):
    return Path(experiments.__file__).parent / f"{name}.py"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_the_script_with_its_results(name):
    notebook = json.loads(script(name).with_suffix(".ipynb").read_text())
    cells = [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]]
    assert cells == [(c.cell_type, c.source) for c in jupytext.read(script(name)).cells]
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    kind, pictures = NOTEBOOKS[name]
    assert sum(kind in o.get("data", {}) for o in outputs) == pictures
    assert not [o for o in outputs if o["output_type"] == "error"]


def test_the_tutorial_of_the_engine_runs(capsys):
    runpy.run_path(str(script("engine_tutorial")))
    out = capsys.readouterr().out
    assert "-7.286496" in out or "-7.2864957" in out
    assert out.count("True") == 3
    assert "returned float32[] for operand 0, expected float32[3]" in out
    errors = re.findall(r"^\w+ +(\d\S+)$", out[out.index("C  ") :], re.MULTILINE)
    assert len(errors) == 6
    assert all(float(error) < 1e-12 for error in errors)


def test_from_bigram_to_transformer_runs_and_a_mistake_would_show(capsys):
    matplotlib.use("agg")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        scope = runpy.run_path(str(script("from_bigram_to_transformer")))
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
