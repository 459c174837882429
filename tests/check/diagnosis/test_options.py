"""A rule that is right with its options as given, and wrong with others."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxninja import check_vjp


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
