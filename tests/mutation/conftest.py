"""A project: a rule, tests that look at its gradient, and tests that do not."""

import os
from pathlib import Path

import pytest

import jaxninja

MODULE = """
import jax, jax.numpy as jnp

@jax.custom_vjp
def cube(x):
    return x**3

def cube_fwd(x):
    return x**3, x

def cube_bwd(x, dy):
    return (3 * x * x * dy,)

cube.defvjp(cube_fwd, cube_bwd)

def example():
    return (jnp.array([0.5, -1.2, 2.0]),)
"""
STRICT = """
import jax, numpy as np
from cubes import cube, example

def test_gradient():
    x = np.asarray(example()[0])
    pull = jax.vjp(cube, x)[1]
    for dy in np.array([[0.3, -2.0, 1.5], [30, -200, 150]], np.float32):
        np.testing.assert_allclose(pull(dy)[0], 3 * x**2 * dy, rtol=1e-5)
"""
LOOSE = """
from cubes import cube, example

def test_value_only():
    assert cube(*example()).shape == (3,)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    package = Path(jaxninja.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{package}")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # each run starts faster
    (tmp_path / "cubes.py").write_text(MODULE)
    (tmp_path / "test_strict.py").write_text(STRICT)
    (tmp_path / "test_loose.py").write_text(LOOSE)
    return tmp_path
