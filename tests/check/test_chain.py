"""The stepper: one guilty step, the rest inherits."""

import jax
import jax.numpy as jnp
import pytest
from jax.ad_checkpoint import checkpoint_name

from jaxninja.check import VJPCheckError, check_steps


def forward(x, W, b):
    a = checkpoint_name(x @ W, "a")
    h = checkpoint_name(jnp.tanh(a + b), "h")
    s = checkpoint_name((h**2).sum(1), "s")
    return s.mean()


STEPS = {
    "s": lambda v, g: jnp.ones(v["s"].shape) / v["s"].size,
    "h": lambda v, g: 2 * g["s"][:, None] * v["h"],
    "a": lambda v, g: (1 - v["h"] ** 2) * g["h"],
    "b": lambda v, g: g["a"].sum(0),
    "W": lambda v, g: v["x"].T @ g["a"],
    "x": lambda v, g: g["a"] @ v["W"].T,
}


@pytest.fixture(scope="module")
def args():
    keys = jax.random.split(jax.random.key(3), 3)
    shapes = ((4, 3), (3, 5), (5,))
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


def test_a_right_chain_is_right(args):
    result = check_steps(forward, STEPS, *args)
    assert result
    assert result.guilty is None
    assert [s.name for s in result.steps] == list(STEPS)


def test_only_the_first_guilty_step_is_marked(args):
    broken = {**STEPS, "a": lambda v, g: (1 - v["h"]) * g["h"]}
    result = check_steps(forward, broken, *args)
    assert result.guilty is not None
    assert result.guilty.name == "a"
    verdicts = [s.verdict for s in result.steps]
    assert verdicts == ["ok", "ok", "wrong", "inherited", "inherited", "inherited"]
    assert str(result).count("<-- here") == 1
    with pytest.raises(VJPCheckError, match=r"a +\| wrong"):
        result.raise_if_failed()


def test_an_error_that_cancels_an_earlier_one_is_still_an_error(args):
    broken = {
        **STEPS,
        "h": lambda v, g: g["s"][:, None] * v["h"],
        "a": lambda v, g: 2 * (1 - v["h"] ** 2) * g["h"],
    }
    result = check_steps(forward, broken, *args)
    assert result.guilty is not None
    assert result.guilty.name == "h"
    assert [s.verdict for s in result.steps][:3] == ["ok", "wrong", "wrong"]


def test_a_step_that_raises_is_guilty_and_the_rest_goes_on(args):
    broken = {**STEPS, "W": lambda v, g: v["x"] @ g["a"]}
    result = check_steps(forward, broken, *args)
    assert result.guilty is not None
    assert result.guilty.name == "W"
    assert "test_chain.py" in result.guilty.note
    assert result.steps[-1].verdict == "ok"


def test_a_step_of_another_shape_is_told(args):
    broken = {**STEPS, "b": lambda v, g: g["a"]}
    result = check_steps(forward, broken, *args)
    assert result.guilty is not None
    assert "shape (4, 5), expected (5,)" in result.guilty.note


def test_a_gradient_asked_for_too_early_is_told(args):
    order = {"h": STEPS["h"], "s": STEPS["s"]}
    result = check_steps(forward, order, *args)
    assert result.guilty is not None
    assert "gradients before it: none" in result.guilty.note


def test_a_key_error_of_its_own_is_no_missing_gradient(args):
    broken = {**STEPS, "b": lambda v, g: {"a": g["a"]}["h"]}
    result = check_steps(forward, broken, *args)
    assert result.guilty is not None
    assert "raised KeyError" in result.guilty.note


def test_an_unknown_name_is_told(args):
    with pytest.raises(ValueError, match="no array is named z"):
        check_steps(forward, {"z": STEPS["s"]}, *args)


def centred(x):
    m = checkpoint_name(x.mean(0, keepdims=True), "m")
    d = checkpoint_name(x - m, "d")
    return (d**2).mean()


CENTRED = {
    "d": lambda v, g: 2 * v["d"] / v["d"].size,
    "m": lambda v, g: -g["d"].sum(0, keepdims=True),
    "x": lambda v, g: g["d"] + g["m"] / v["x"].shape[0],
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_gradient_that_is_zero_in_theory(dtype, args):
    x = (args[0] + 3).astype(dtype)
    assert check_steps(centred, CENTRED, x, zero=("m",))
    other = {**CENTRED, "m": lambda v, g: -(g["d"][::-1] * 1.01).sum(0, keepdims=True)}
    assert check_steps(centred, other, x, zero=["m"])
    undeclared = check_steps(centred, other, x).guilty
    assert undeclared is not None
    assert "name it in zero=" in undeclared.note
    wrong = {**CENTRED, "m": lambda v, g: g["d"].sum(1, keepdims=True)[:1]}
    assert not check_steps(centred, {**CENTRED, "m": lambda v, g: v["m"]}, x, zero="m")
    assert not check_steps(centred, wrong, x, zero=("m",))


def test_an_unknown_zero_is_told(args):
    with pytest.raises(ValueError, match="no array is named z"):
        check_steps(centred, CENTRED, args[0], zero=("z",))


@pytest.mark.parametrize("f", [lambda x: x * x, lambda x: (x * x).sum().astype(int)])
def test_forward_must_return_a_scalar(f, args):
    with pytest.raises(ValueError, match="expected a real scalar"):
        check_steps(f, {"x": lambda v, g: v["x"]}, args[0])
