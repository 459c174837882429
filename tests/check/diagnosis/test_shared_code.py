"""Edits of functions that the forward calls as well as the backward."""

import inspect

import jax
import jax.numpy as jnp
import pytest

from jaxninja import check_vjp
from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.edits.lines import of_one_line
from jaxninja.check.diagnosis.edits.reader import Reader
from jaxninja.check.diagnosis.explainers import diagnose
from tests.check.diagnosis.evidence import evidence


def turned(x, angles):
    a, b = jnp.split(x, 2, -1)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


compiled = jax.jit(turned)


def scaled(p, v):
    return 3 * v + p**2 * v - jnp.sin(p) * v


def line_of(function, text) -> int:
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("function", [turned, compiled])
def test_an_edit_is_told_at_the_call_of_the_backward(function, x64):
    """To negate the sine where it stands would turn the forward as well."""
    angles = jnp.arange(1.0, 6.0)[:, None]

    def plain(x):
        return function(x, angles)

    def bwd(_, dy):
        return (function(dy, angles),)  # back by as much is right

    (first, *_) = diagnose(evidence(plain, lambda x: (plain(x), None), bwd, [(5, 4)]))
    assert first.where == f"test_shared_code.py:{line_of(bwd, 'back by')}"
    assert "within `function(dy, angles)` alone" in first.sentence


def test_an_edit_of_a_line_leaves_alone_what_the_leaf_does_not_depend_on(x64):
    def bwd(res, dy):
        p, _ = res
        _, pullback = jax.vjp(lambda q: scaled(q, dy), p)
        return *pullback(dy), scaled(p, dy)

    found = evidence(scaled, lambda p, x: (scaled(p, x), (p, x)), bwd, [(6,)] * 2)
    (problem,) = problems(found)
    reader = Reader(problem)
    edits = list(of_one_line(reader, frozenset({0}), reader.available()))
    assert edits
    slots = [edit.slot for one in edits for edit in (one, *one.others)]
    assert all(0 in reader.program.reaches(slot) for slot in slots)


@jax.custom_vjp
def normed(x):
    return x / (x * x).sum()


def normed_bwd(x, dy):
    return (dy / (x * x).sum(),)  # as if the sum were constant


normed.defvjp(lambda x: (x / (x * x).sum(), x), normed_bwd)


@pytest.mark.parametrize("function", [normed, lambda x: jnp.tanh(normed(x)).sum()])
def test_what_a_rule_lacks_is_named_in_a_function_that_calls_it(function):
    report = check_vjp(function, jnp.array([1.0, -2.0, 0.5]), level="quick")
    said = " ".join(hint.sentence for hint in report.causes)
    assert "lacks the path through" in said
    assert "(x * x).sum()" in said
