"""The README's Python runs as it stands, and its rule table is what the rules keep."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxninja.cli.rules import residual_bytes
from jaxninja.rules import RULES

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("\n")[0])
def test_the_python_runs(code, tmp_path):
    code = code.replace("steps=20_000", "steps=200")
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for error in re.findall(r"^d\w+ (\S+)$", done.stdout, re.MULTILINE):
        assert float(error) < 1e-14


def test_the_rule_table_is_generated_from_the_rules():
    rows = re.findall(
        r"^\| \[`(\w+)`\].*\| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE
    )
    measured = [(r.name, *(f"{b:,}" for b in residual_bytes(r))) for r in RULES]
    assert [row[:2] for row in rows] == [row[:2] for row in measured]
    if f"JAX {jax.__version__} " in README:  # another JAX may keep more or less
        assert rows == measured


def test_the_commands_and_links_lead_somewhere():
    from jaxninja.cli import COMMANDS

    shown = set(re.findall(r"^jaxninja (\w+)", README, re.MULTILINE))
    assert {"train", "eval", "sample"} <= shown <= set(COMMANDS)
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", text)
    assert links
    for path in links:
        assert (Path(__file__).parent.parent / path).exists(), path
