"""The rules under the stricter of JAX's settings, which are a user's own to choose."""

from functools import partial

import jax
import pytest

from jaxninja.rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_no_rank_and_no_dtype_is_promoted_implicitly(rule):
    """Forward and backward are traced only: what would be refused is refused then."""

    def walk(f, case):
        args = rule.example(jax.random.key(0), **case.dims)
        y, pullback = jax.vjp(lambda *a: f(*a, *case.static), *args)
        return pullback(y)

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        for case in rule.cases:
            for f in (rule.op, rule.reference):
                jax.eval_shape(partial(walk, f, case))
