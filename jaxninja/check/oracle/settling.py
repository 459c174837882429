"""Has an iteration within the reference settled at these inputs?

A fixed point found in 60 steps is one only where 60 steps are enough. What a rule says
of it by the implicit function theorem is then right, and autodiff of the steps is not.
"""

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import cast, is_float
from jaxninja.jaxpr import bind, closed, scan_parts

SETTLED = 1e-9  # change by one more step, relative to what is iterated
LEAST = 1e-12


def settles_at(there: tuple, here: tuple) -> bool:
    """False if an iteration settles at the example and does not elsewhere.

    Args:
        there, here: (plain forward, arguments) of the example, and of what is judged:
            the static options may be others.
    """
    with jax.enable_x64(True):
        try:
            with running("the plain forward"):
                before, now = (
                    np.asarray(_unrest(plain)(*cast(args, "float64")))
                    for plain, args in (there, here)
                )
        except UserCodeError:
            return True
    if before.shape != now.shape:
        return True
    settled = before <= SETTLED
    return bool((now[settled] <= np.maximum(LEAST, 10 * before[settled])).all())


@lru_cache(maxsize=128)
def _unrest(plain) -> Callable:
    """Of each loop, by how much one more step changes what it carries."""

    def run(*args):
        found: list = []

        def step(eqn, ins):
            if not _iterates(eqn):
                return None
            outs = bind(eqn, ins)
            found.append(_change(eqn, ins, outs))
            return outs

        opened(plain, step)(*args)
        return jnp.stack(found) if found else jnp.zeros(0)

    return compiled(run)


def _iterates(eqn) -> bool:
    """A loop over a carry alone, which nothing else is fed to but a counter."""
    if eqn.primitive.name != "scan":
        return False
    consts, carry = scan_parts(eqn)
    xs = eqn.invars[consts + carry :]
    return carry > 0 and not any(is_float(v.aval) for v in xs)


def _change(eqn, ins: list, outs: list):
    consts, count = scan_parts(eqn)
    xs = [x[-1] for x in ins[consts + count :]]
    run = jaxpr_as_fun(closed(eqn.params["jaxpr"]))
    last = outs[:count]
    pairs = zip(last, run(*ins[:consts], *last, *xs)[:count], strict=True)
    changes = [
        jnp.max(jnp.abs(b - a), initial=0)
        / jnp.maximum(jnp.max(jnp.abs(a), initial=0), jnp.finfo(a.dtype).tiny)
        for a, b in pairs
        if is_float(a)
    ]
    return jnp.max(
        jnp.stack([jnp.nan_to_num(c, nan=jnp.inf) for c in changes] or [0.0])
    )
