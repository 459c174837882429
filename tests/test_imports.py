"""The arrows between the packages, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jaxninja

ROOT = Path(jaxninja.__file__).parent
OURS = "jaxninja"
LIBRARIES = {"jax", "chex", "jaxtyping"}

# package or module -> what of ours it may import
ALLOWED = {
    "rule": set(),
    "rules": {"rule", "rules"},
    "engine": {"engine"},
    "intermediates": {"intermediates"},
    "data": {"data"},
    "escaping": set(),
    "storage": {"storage"},
    "models": {"rules", "models"},
    "plots": {"escaping", "plots"},
    "training": {"data", "intermediates", "models", "plots", "storage", "training"},
    "workbook": {"check", "intermediates", "models", "plots", "workbook"},
}


def imports(path):
    """Full names of the modules a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == OURS:
                yield from (f"{OURS}.{alias.name}" for alias in node.names)


def files(part):
    package = ROOT / part
    return sorted(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{part}.py"]


@pytest.mark.parametrize("part", ALLOWED)
def test_the_arrows_hold(part):
    for path in files(part):
        parts = {m.split(".")[1] for m in imports(path) if m.startswith(f"{OURS}.")}
        assert parts <= ALLOWED[part], path


def test_rules_import_jax_and_the_standard_library_only():
    for path in [*files("rules"), *files("rule")]:
        tops = {m.split(".")[0] for m in imports(path)} - {OURS}
        assert tops <= LIBRARIES | set(sys.stdlib_module_names), path


def test_the_engine_imports_jax_only_and_differentiates_by_itself():
    derivatives = {"grad", "value_and_grad", "vjp", "jvp", "linearize", "jacrev"}
    for path in files("engine"):
        tops = {m.split(".")[0] for m in imports(path)} - {OURS}
        assert tops <= {"jax", "numpy"} | set(sys.stdlib_module_names), path
        assert not [m for m in imports(path) if m.startswith("jax._src")], path
        tree = ast.walk(ast.parse(path.read_text()))
        used = {n.attr for n in tree if isinstance(n, ast.Attribute)}
        assert not used & derivatives, path


def test_only_plots_imports_matplotlib_and_only_the_command_line_prints():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        if "plots" not in path.with_suffix("").parts:
            assert "matplotlib" not in {m.split(".")[0] for m in imports(path)}, path
        if "cli" not in path.parts:
            calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
            assert "print" not in {getattr(c.func, "id", "") for c in calls}, path


def test_there_is_no_pickle():
    for path in ROOT.rglob("*.py"):
        assert not {"pickle", "dill", "cloudpickle"} & set(imports(path)), path


CHEAP = """
import sys
import {module}
heavy = {{"optax", "matplotlib", "tyro", "tqdm", "safetensors"}} & set(sys.modules)
assert not heavy, heavy
if "jax" in sys.modules:
    from jax._src import xla_bridge
    assert not xla_bridge._backends, "a device was touched"
"""


@pytest.mark.parametrize(
    "module", ["jaxninja", "jaxninja.rules", "jaxninja.models.mlp", "jaxninja.engine"]
)
def test_importing_is_cheap_and_touches_no_device(module):
    code = CHEAP.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_jaxninja_does_not_import_jax():
    code = "import sys, jaxninja; assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there():
    for name in jaxninja.__all__:
        assert getattr(jaxninja, name) is not None
    assert set(jaxninja.__all__) <= set(dir(jaxninja))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = jaxninja.nothing
