"""The map of the library: what may import what, how large it is, what an import costs.

ROOMS is the map. A room is a module, a folder, or the files of a folder that have no
row of their own; it may import itself and what its row names. Rows stand in order, each
above those that build on it, so no arrow leads up.
"""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import jaxninja

OURS = "jaxninja"
ROOT = Path(jaxninja.__file__).parent
CHECKOUT = ROOT.parent

ROOMS = {
    # a rule, and what everything else stands on
    "errors": "",
    "escaping": "",
    "rule": "",
    "jaxpr": "",
    "rules": "rule",
    "engine": "errors escaping jaxpr",
    "intermediates": "errors jaxpr",
    "lookup": "errors",
    "storage": "errors escaping",
    "data": "errors storage",
    "plots": "escaping storage",
    "models": "errors rules jaxpr",
    # the checker: what it finds, what it checks on which inputs, what is true
    "check": "errors",
    "check.subject": "check errors rule jaxpr",
    "check.diagnosis.code": "check check.subject jaxpr",
    "check.inputs": "check check.subject check.diagnosis.code rule jaxpr",
    "check.oracle": "errors check check.subject check.inputs jaxpr",
    "check.results": "check check.subject check.inputs check.oracle",
    "check.properties": "errors jaxpr check check.subject check.inputs"
    " check.oracle check.results",
    "check.diagnosis.edits": "check check.diagnosis.code jaxpr",
    "check.diagnosis.forward": "check check.diagnosis.code check.diagnosis.edits",
    "check.diagnosis": "check check.subject check.inputs check.oracle check.results"
    " check.diagnosis.code check.diagnosis.edits check.diagnosis.forward",
    "check.chain": "errors check check.subject intermediates",
    "check.options": "errors check.subject check.inputs check.results",
    "check.checker": "errors rule rules check check.subject check.inputs check.oracle"
    " check.results check.properties check.diagnosis check.options",
    "check.__init__": "check check.chain check.checker",
    "mutation": "errors lookup rule jaxpr check.__init__ check.subject check.inputs"
    " check.oracle check.results",
    # training
    "training.options": "errors data models",
    "training.config": "errors models training.options",
    "training.machine": "errors escaping models training.config",
    "training.kernel": "errors models training.config",
    "training": "errors escaping jaxpr intermediates data storage plots models"
    " training.options training.config training.machine training.kernel",
    "report": "escaping intermediates data storage plots models training.options"
    " training.config training.machine training",
    # the workbook: from the learner's text to a verdict
    "workbook.texts": "errors",
    "workbook.code": "errors models check.diagnosis.code workbook.texts",
    "workbook": "errors intermediates plots models check check.chain workbook.texts"
    " workbook.code",
    "workbook.diagnosis": "errors models check check.diagnosis workbook.texts"
    " workbook.code workbook",
    "workbook.grading": "models check check.chain workbook.texts workbook.code workbook"
    " workbook.diagnosis",
    "workbook.process": "workbook.texts workbook workbook.grading",
    "workbook.learner": "workbook.texts workbook workbook.code",
    "workbook.pytorch": "errors workbook.texts workbook workbook.code",
    "workbook.notebook": "errors workbook.texts workbook.code workbook"
    " workbook.process",
    "workbook.__init__": "workbook.notebook",
    # what is called from outside
    "__init__": "rule rules intermediates check.__init__ check.subject training.config"
    " training workbook",
    "pytest_plugin": "errors lookup check.__init__",
    "book": "rule rules engine models check check.__init__ check.subject"
    " mutation workbook __init__",
    "cli.process": "errors",
    "cli": "__init__ errors escaping rule rules engine lookup data storage plots models"
    " check check.__init__ check.subject check.properties mutation training.options"
    " training.config training.machine training.kernel training report workbook"
    " workbook.texts workbook.process workbook.learner workbook.pytorch book"
    " cli.process",
    "__main__": "cli",
}
MAY = {room: set(row.split()) for room, row in ROOMS.items()}


def imports(path):
    """What a file imports, inside functions too, as (module, name)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def module_of(path):
    """check/errors.py -> check.errors, check/__init__.py -> check.__init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def target(module, name):
    """The module of ours that an import reads; None if it is not ours or not there."""
    if module.split(".")[0] != OURS:
        return None
    start = module.split(".")[1:]
    inside = ".".join(start)
    longer = ".".join([*start, name])
    tries = (longer, f"{longer}.__init__", inside, ".".join([*start, "__init__"]))
    return next((m for m in tries if m in FILES), None)


@functools.cache
def graph():
    """Which modules each of ours imports; every file is parsed for it, once."""
    return {
        module: {target(*i) for i in imports(path)} - {None, module}
        for module, path in FILES.items()
    }


def room_of(module):
    """The row of a module: its own, else that of its folder, else of one above."""
    while module and module not in ROOMS:
        module = module.rpartition(".")[0]
    return module


@pytest.mark.parametrize("room", ROOMS)
def test_the_arrows_hold(room):
    modules = [m for m in graph() if room_of(m) == room]
    assert modules, f"the row {room!r} is of no module"
    for module in modules:
        read = {room_of(m) for m in graph()[module]} - {room}
        assert read <= MAY[room], module


def test_every_module_has_a_row():
    assert [m for m in FILES if not room_of(m)] == []


def test_no_arrow_leads_up():
    rows = list(ROOMS)
    for i, room in enumerate(rows):
        assert MAY[room] <= {*rows[:i]}, room


def test_no_imports_run_in_a_circle():
    TopologicalSorter(graph()).prepare()  # raises CycleError with the circle


def test_the_root_and_every_folder_can_be_overlooked():
    assert len(list(ROOT.glob("*.py"))) <= 8
    for folder in {path.parent for path in FILES.values()}:
        assert len(list(folder.glob("*.py"))) <= 17, folder


def test_no_module_bears_the_name_of_a_function_in_it():
    """Else `from jaxninja.x import y` may be either. A rule's file is its rule's."""
    for module, path in FILES.items():
        if room_of(module) not in ("rules", "engine"):
            tree = ast.parse(path.read_text())
            names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            assert path.stem not in names, path


def test_every_import_of_ours_leads_somewhere():
    for folder in ("jaxninja", "tests", "experiments"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            for module, name in imports(path):
                top = module.split(".")[0]
                if top == OURS:
                    assert target(module, name), f"{path}: {module}"
                if top in ("tests", "experiments"):
                    place = CHECKOUT.joinpath(*module.split("."))
                    found = place.is_dir() or place.with_suffix(".py").is_file()
                    assert found, f"{path}: {module}"


def test_rules_import_jax_and_the_standard_library_only():
    for module, path in FILES.items():
        if room_of(module) in ("rule", "rules"):
            tops = {m.split(".")[0] for m, _ in imports(path)} - {OURS}
            assert tops <= {"jax", "jaxtyping", *sys.stdlib_module_names}, path


def test_the_engine_imports_jax_only_and_differentiates_by_itself():
    derivatives = {"grad", "value_and_grad", "vjp", "jvp", "linearize", "jacrev"}
    for module, path in FILES.items():
        if room_of(module) != "engine":
            continue
        tops = {m.split(".")[0] for m, _ in imports(path)} - {OURS}
        assert tops <= {"jax", "numpy"} | set(sys.stdlib_module_names), path
        assert not [m for m, _ in imports(path) if m.startswith("jax._src")], path
        tree = ast.walk(ast.parse(path.read_text()))
        used = {n.attr for n in tree if isinstance(n, ast.Attribute)}
        assert not used & derivatives, path


def test_only_plots_imports_matplotlib_and_only_the_command_line_prints():
    for path in FILES.values():
        text = path.read_text()
        if "plots" not in path.with_suffix("").parts:
            assert "matplotlib" not in {m.split(".")[0] for m, _ in imports(path)}, path
        if "cli" not in path.parts:
            calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
            assert "print" not in {getattr(c.func, "id", "") for c in calls}, path


def test_there_is_no_pickle():
    for path in FILES.values():
        modules = {module for module, _ in imports(path)}
        assert not {"pickle", "dill", "cloudpickle"} & modules, path


# What the library imports only where the user has it anyway, or in a test.
WHERE_THERE = {
    "pytest": "pytest_plugin",
    "ipykernel": "training.progress",
    "jupytext": "workbook.pages",
    "tokenizers": "data.tokenizers",
    "markdown-it-py": "book.markup",
    "pygments": "book.markup",
    "griffelib": "book.reference",
}
BROUGHT = {
    "IPython": "ipykernel",
    "markdown_it": "markdown-it-py",
    "griffe": "griffelib",
}  # a module's distribution, where the names differ


def third_party(path):
    tops = {BROUGHT.get(t, t) for t in (m.split(".")[0] for m, _ in imports(path))}
    return tops - {OURS, "tests", "experiments"} - set(sys.stdlib_module_names)


def declared():
    """(distributions that the library needs, those of the extras)."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    name = re.compile(r"[\w-]+")
    extras = [line for e in project["optional-dependencies"].values() for line in e]
    hard = {name.match(line)[0] for line in project["dependencies"]}
    return hard, {name.match(line)[0] for line in extras}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    hard, extra = declared()
    used = set()
    for module, path in FILES.items():
        found = third_party(path)
        used |= found
        there = {dep for dep in found & {*WHERE_THERE} if WHERE_THERE[dep] == module}
        assert found - there <= hard, path
        assert there <= extra, path
    assert hard == used - {*WHERE_THERE} | {"jaxlib"}
    for folder in ("tests", "experiments"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            here = {p.name for p in path.parent.iterdir()}  # a helper beside a test
            found = {t for t in third_party(path) if f"{t}.py" not in here}
            assert found <= hard | extra, path


CHEAP = """
import sys
import {module}
heavy = {{"optax", "matplotlib", "tyro", "tqdm", "safetensors"}} & set(sys.modules)
assert not heavy, heavy
if "jax" in sys.modules:
    from jax._src import xla_bridge
    assert not xla_bridge._backends, "a device was touched"
"""
SHOW = """
import sys
from jaxninja import cli
assert cli.main(["show", "relu"]) == 0
heavy = {"optax", "matplotlib", "tqdm", "safetensors", "msgspec"} & set(sys.modules)
assert not heavy, heavy
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PARTS = "jaxninja.rules", "jaxninja.models.ninja", "jaxninja.engine"


@pytest.mark.parametrize(
    "module",
    ["jaxninja", *(pytest.param(name, marks=pytest.mark.more) for name in PARTS)],
)
def test_importing_is_cheap_and_touches_no_device(module):
    run(CHEAP.format(module=module))


def test_showing_a_rule_loads_nothing_that_trains():
    run(SHOW)


def test_importing_jaxninja_does_not_import_jax():
    run("import sys, jaxninja; assert 'jax' not in sys.modules")


def test_every_public_name_is_there():
    for name in jaxninja.__all__:
        assert getattr(jaxninja, name) is not None
    assert set(jaxninja.__all__) <= set(dir(jaxninja))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = jaxninja.nothing
