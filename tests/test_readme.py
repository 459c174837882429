"""The pages' Python runs as it stands; what documents name and link to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "jaxninja").glob("*/README.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.parent.name}{i}")
    for page in PAGES
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_the_python_runs(code, tmp_path):
    file = tmp_path / "block.py"
    file.write_text(code.replace("steps=20_000", "steps=200"))
    command = [sys.executable, "-W", "error", file]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for error in re.findall(r"^d\w+ (\S+)$", done.stdout, re.MULTILINE):
        assert float(error) < 1e-14


def test_the_report_that_the_readme_shows_is_that_of_its_code(tmp_path):
    """The verdict and the first hint; the entries between are the processor's."""
    readme = (ROOT / "README.md").read_text()
    code, report = re.search(
        r"```python\n(.*?)```\n```\n(.*?)```", readme, re.S
    ).groups()
    file = tmp_path / "my_softmax.py"
    file.write_text(code)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    verdict, _, hint, _ = report.splitlines()
    assert {verdict, hint} <= set(done.stdout.splitlines())


def test_the_front_page_is_short():
    """A newcomer gives it a minute, and the index of the experiments another."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130
    index = (ROOT / "experiments" / "README.md").read_text()
    assert len(index.splitlines()) <= 120


def test_the_commands_are_there():
    from jaxninja.cli import COMMANDS

    text = "".join(page.read_text() for page in PAGES)
    shown = set(re.findall(r"^jaxninja (\w+)", text, re.MULTILINE))
    assert {"train", "eval", "sample"} <= shown <= set(COMMANDS)


FOLDERS = ("", "data", ".github", "experiments", "experiments/*", "jaxninja/*")
DOCUMENTS = [
    d.relative_to(ROOT) for f in FOLDERS for d in ROOT.glob(f"{f}/*.md".lstrip("/"))
]
CODE = [
    p for f in ("jaxninja", "tests", "experiments") for p in (ROOT / f).rglob("*.py")
]
ROOMS = "jaxninja|tests|experiments|data|rules|engine|models|check|training"


def prose(path):
    return re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)


def anchors(path):
    """What the headings of a page are linked by."""
    titles = re.findall(r"^#+ (.+)", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in titles}


def broken_links(document):
    """The relative links that lead to no file, or to no heading of a page."""
    for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", prose(document)):
        path, _, anchor = link.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield link


def lost_paths(path, text):
    """Files named as `room/.../file.py`, as commands of pytest or in prose."""
    named = re.findall(rf"(?<![\w/.])(?:{ROOMS})/[\w/]+\.(?:py|ipynb)\b", text)
    starts = (ROOT, ROOT / "jaxninja", path.parent)
    return [n for n in named if not any((start / n).exists() for start in starts)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_links_and_paths_of_a_document_lead_somewhere(document):
    path = ROOT / document
    assert [*broken_links(path)] == []
    if document.name != "CHANGELOG.md":  # it names what was there before
        assert lost_paths(path, path.read_text()) == []


def test_the_paths_that_code_names_are_there():
    lost = {str(p): lost_paths(p, p.read_text()) for p in CODE if p != Path(__file__)}
    assert {path: names for path, names in lost.items() if names} == {}


def test_what_the_release_runs_is_there():
    named = re.findall(r"\btests/[\w/.]+", (ROOT / ".ci/run").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_lost_link_and_a_lost_path_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](page.md#one-two) [b](#two) [c](no.md) [d](page.md)"
    )
    assert [*broken_links(page)] == ["#two", "no.md"]
    text = "`tests/test_readme.py`, `rules/nowhere/relu.py`, a/rules/relu.py"
    assert lost_paths(page, text) == ["rules/nowhere/relu.py"]
