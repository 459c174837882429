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
