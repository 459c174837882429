"""One family of errors for what a user can fix, and whose code a line is."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import sysconfig
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxninja
from jaxninja import engine
from jaxninja.check import checker
from jaxninja.errors import UserError, did_you_mean, is_users
from jaxninja.rules.activations import relu

# They say of a computation how it ended, not of what was given that it cannot be used;
# the last two, of a line that it stays text, in the handbook and in an import.
OTHERS = {"TrainError", "VJPCheckError", "Interrupted", "Diverged", "NoRule", "Stop"}
OTHERS |= {"NotMathematics", "NoTranslation", "Unsaid"}


def test_every_error_over_what_was_given_is_a_user_error():
    for module in pkgutil.walk_packages(jaxninja.__path__, "jaxninja."):
        if module.name.endswith("__main__"):
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            ours = getattr(found, "__module__", "").startswith("jaxninja.")
            if ours and inspect.isclass(found) and issubclass(found, BaseException):
                private = name.startswith("_")
                assert issubclass(found, UserError) or private or name in OTHERS, name


# Where a ValueError or TypeError of ours is caught by ours, or stays what it is: a rule
# stands without the rest of the library.
BARE = {"rule.py", "rules", "training/options/values.py", "storage/records.py"}
BARE |= {"check/diagnosis"}


def test_what_is_raised_over_an_argument_is_a_user_error():
    root = Path(jaxninja.__file__).parent
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if BARE & {place.as_posix(), *(p.as_posix() for p in place.parents)}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc:
                bare = ast.unparse(node.exc).startswith(("ValueError", "TypeError"))
                assert not bare, f"{place}:{node.lineno}"


@pytest.mark.parametrize(
    "call",
    [
        lambda: jaxninja.TrainConfig(stepz=5),
        lambda: jaxninja.check_vjp(relu.relu, 1.0, level="ful"),
        lambda: jaxninja.compare_grads({}, {}),
        lambda: jaxninja.retain_grads(jnp.sum)(jnp.ones(3)),
        lambda: jaxninja.cmp("W", None, None),
        lambda: jaxninja.residuals_of(3),
        lambda: engine.value_and_grad(jnp.sin)(jnp.ones(3)),
        lambda: jaxninja.train(progress=3),
        lambda: jaxninja.train(mesh=3),
    ],
)
def test_what_a_user_can_fix_is_one_line(call):
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_field_that_does_not_exist_is_told_with_the_one_that_was_meant():
    config = jaxninja.TrainConfig()
    for call in (jaxninja.TrainConfig, partial(dataclasses.replace, config)):
        with pytest.raises(UserError, match="'stepz'; did you mean 'steps'"):
            call(stepz=5)


def test_the_nearest_name_is_meant():
    assert did_you_mean("tahn", ["relu", "tanh"]) == "; did you mean 'tanh'?"
    assert did_you_mean("tahn", {"tanh": 1}, str.upper) == "; did you mean TANH?"
    assert did_you_mean("x", ["relu", "tanh"]) == ""


def test_a_rule_and_a_notebook_are_the_users_the_checker_and_libraries_are_not():
    assert is_users(__file__)
    assert is_users(relu.__file__)
    assert is_users("<ipython-input-3>")
    standard = f"{sysconfig.get_path('stdlib')}/functools.py"
    for file in (checker.__file__, jax.__file__, np.__file__, standard, "<string>"):
        assert not is_users(file), file
