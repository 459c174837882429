"""One family of errors for what a user can mend, and whose code a line is."""

import importlib
import inspect
import pkgutil
import sysconfig

import jax
import numpy as np

import jaxninja
from jaxninja.check import checker
from jaxninja.errors import UserError, did_you_mean, is_users
from jaxninja.rules.activations import relu

# They say of a computation how it ended, not of what was given that it cannot be used.
OTHERS = {"TrainError", "VJPCheckError", "Interrupted", "Diverged", "NoRule", "Stop"}


def test_every_error_over_what_was_given_is_a_user_error():
    for module in pkgutil.walk_packages(jaxninja.__path__, "jaxninja."):
        if module.name.endswith("__main__"):
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            ours = getattr(found, "__module__", "").startswith("jaxninja.")
            if ours and inspect.isclass(found) and issubclass(found, BaseException):
                private = name.startswith("_")
                assert issubclass(found, UserError) or private or name in OTHERS, name


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
