"""A rule that is right with its options and sizes as given, and wrong with others."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp

from jaxninja import check_vjp
from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.options import only_with
from tests.check.diagnosis.evidence import evidence


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def running(x, axis):
    return jnp.cumsum(jnp.cumsum(jnp.cumsum(x, axis), axis), axis)


def running_fwd(x, axis):
    return running.fun(x, axis), None


def running_bwd(axis, res, dy):
    return (jnp.flip(running.fun(jnp.flip(dy, -1), -1), -1),)


running.defvjp(running_fwd, running_bwd)


def test_the_option_that_bwd_does_not_heed_is_named():
    x = jax.random.normal(jax.random.key(3), (3, 4))
    (hint,) = check_vjp(running, x, -1).hints
    assert hint.verified
    assert hint.statement.code == "only with"
    assert hint.statement["options"] == "axis=0"
    assert hint.statement["unheeded"]["option"] == "axis=0"


def shared_mean_bwd(res, dy):
    return (dy - dy.mean(),)


def test_the_sizes_with_which_alone_it_is_wrong_are_named(x64):
    def centred(x):
        return x - x.mean(-1, keepdims=True)

    found = evidence(centred, lambda x: (centred(x), None), shared_mean_bwd, [(3, 4)])
    found = replace(found, options=("sizes 1->3",))
    (problem,) = problems(found)
    hint = only_with(problem, problem.on(found.resample(5)), found)
    assert hint.verified
    assert hint.statement["options"] == "sizes 1->3"


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def powers(x, n):
    return sum(x**k for k in range(1, n + 1))


def three_by_heart(n, x, dy):
    return (dy * (1 + 2 * x + 3 * x * x),)


powers.defvjp(lambda x, n: (powers.fun(x, n), x), three_by_heart)


def test_an_edit_that_spoils_the_rule_as_given_is_none():
    (hint,) = check_vjp(powers, jnp.linspace(0.3, 1.2, 5), 3).hints
    assert hint.statement["options"] == "n=2"
    assert hint.statement["unheeded"]
    assert hint.change is None


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_power(x, k):
    return jnp.cumsum(x, 1) ** 2 / k


def not_divided(k, x, dy):
    part = 2 * dy * jnp.cumsum(x, 1)
    return (jnp.flip(jnp.cumsum(jnp.flip(part, 1), 1), 1),)


mean_power.defvjp(lambda x, k: (mean_power.fun(x, k), x), not_divided)


def test_a_number_that_follows_an_option_is_named_by_it():
    x = jax.random.normal(jax.random.key(3), (3, 4))
    first, *_ = check_vjp(mean_power, x, 4).hints
    assert first.statement["factor"].name == "k"


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def delayed(x, k):
    return 2 * jnp.concatenate([jnp.zeros(k), x[: x.size - k]]) ** 2


def in_time(k, x, dy):
    return (4 * dy * x,)


delayed.defvjp(lambda x, k: (delayed.fun(x, k), jnp.roll(x, k)), in_time)


def test_an_edit_that_does_not_hold_with_another_option_says_so():
    first, *_ = check_vjp(delayed, jnp.linspace(0.3, 1.2, 6), 1).hints
    assert first.statement["options"] == "k=2"
    assert first.statement["edit"].code == "move in"
