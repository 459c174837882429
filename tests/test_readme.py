"""The README's Python runs as it stands; its commands and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_commands_and_links_lead_somewhere():
    from jaxninja.cli import COMMANDS

    shown = set(re.findall(r"^jaxninja (\w+)", README, re.MULTILINE))
    assert {"train", "eval", "sample"} <= shown <= set(COMMANDS)
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", text)
    assert links
    for path in links:
        assert (Path(__file__).parent.parent / path).exists(), path
