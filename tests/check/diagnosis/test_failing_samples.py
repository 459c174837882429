"""How a fresh sample is drawn, on which a hint is verified."""

import jax
import jax.numpy as jnp

from jaxninja import check_vjp


@jax.custom_vjp
def log_odds(p):
    return jnp.log(p) - jnp.log1p(-p)


def log_odds_bwd(p, dy):
    return (dy / (p * (1 + p)),)


log_odds.defvjp(lambda p: (log_odds.fun(p), p), log_odds_bwd)


def test_a_forward_of_a_narrow_domain_has_a_fresh_sample():
    p = jnp.linspace(0.1, 0.9, 6)
    report = check_vjp(log_odds, p, edges=False)
    (hint, *_) = report.hints
    assert hint.verified
    assert "- in place of +" in str(hint)
