"""The tutorial runs, and its two files are one notebook."""

import json
import re
import runpy
from pathlib import Path

import experiments

SCRIPT = Path(experiments.__file__).parent / "engine_tutorial.py"


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
    assert sum("image/svg+xml" in o.get("data", {}) for o in outputs) == 5
    assert not [o for o in outputs if o["output_type"] == "error"]


def test_the_script_runs(capsys):
    runpy.run_path(str(SCRIPT))
    out = capsys.readouterr().out
    assert "-7.286496" in out or "-7.2864957" in out
    assert out.count("True") == 3
    assert "returned float32[] for operand 0, expected float32[3]" in out
    errors = re.findall(r"^\w+ +(\d\S+)$", out[out.index("C  ") :], re.MULTILINE)
    assert len(errors) == 6
    assert all(float(error) < 1e-12 for error in errors)
