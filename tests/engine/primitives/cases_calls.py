"""Inputs for calls, loops and branches."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import SCALAR, TIED, X, Y, doubled, real, tripled


def body(c, x):
    return jnp.tanh(c * x), c + x


def scanned(c, xs):
    return lax.scan(body, c, xs)


def recurrent(w, h, xs):
    def step(h, x):
        h = jnp.tanh(h @ w + x)
        return h, lax.stop_gradient(h) * w.sum()

    return lax.scan(step, h, xs)


def branches(x):
    return lax.cond(x[0, 0] > 0, jnp.sin, lambda x: x * x, x)


CASES = {
    # calls
    **{
        name: [
            (lambda x, f=f: f(x, 1), X),
            (lambda x, f=f: f(x, 0, reverse=True), TIED),
        ]
        for name, f in {
            "cumlogsumexp": lax.cumlogsumexp,
            "cummax": lax.cummax,
            "cummin": lax.cummin,
            "cumprod": lax.cumprod,
        }.items()
    },
    "custom_jvp_call": [
        (tripled, X, Y),
        (jax.nn.relu, TIED - 1),
        (jax.nn.relu6, 5 * X),
    ],
    "custom_vjp_call": [(lambda x: doubled(x, 3), X)],
    "remat": [(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)) * x), X)],
    # loops
    "scan": [
        (scanned, Y[0], X),
        (lambda c, x: lax.scan(body, c, x, reverse=True)[0], Y[0], X),
        (recurrent, real(4, 4), Y[0], X),
        (lambda x: lax.fori_loop(0, 3, lambda i, c: c * x + i, x), X),
        (lambda x: lax.scan(lambda c, _: (c, x * 2), 0, None, length=2)[1], X),
        (lambda c: lax.scan(lambda c, k: (c + k, c), c, np.arange(3)), SCALAR),
    ],
    "cond": [
        (branches, X),
        (branches, -X),
        (lambda x, i: lax.switch(i, [jnp.sin, jnp.exp, lax.neg], x), X, np.int32(2)),
    ],
}
