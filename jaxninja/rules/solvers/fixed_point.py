"""The solution x of x = f(x, theta), its gradient without going through iterations.

However x was found, it satisfies the equation. Perturb theta, with F = df/dx and
G = df/dtheta at the solution:

    dx = F dx + G dtheta         so      dx = (I - F)^-1 G dtheta

Transposed: a cotangent dx of x goes through the transposed inverse, then through G.T,

    w = (I - F.T)^-1 dx          that is         w = dx + F.T w
    dtheta = G.T w               dx0 = 0

w is a fixed point again, of a linear map, and is found by the same iteration. F.T w and
G.T w are the pullback of f, taken once at the solution: memory for one step of f, not
for all of them. Where the iteration ends does not depend on where it began: dx0 = 0.

Check: f = a x + theta with |a| < 1 gives x = theta / (1 - a), dtheta = dx / (1 - a); an
f that does not look at x gives w = dx, the gradient of f itself.

Source of the theorem: Cauchy, Dini; of its use in networks: Bai, Kolter, Koltun 2019.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.rule import Case, Rule, expect, expect_floats


class Residuals(NamedTuple):
    x: Any  # the solution, the output: held anyway; no iterate is kept
    theta: Any  # an argument: held anyway


@partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def fixed_point(
    f: Callable[[Any, Any], Any], x0: Any, theta: Any, iterations: int = 1000
) -> Any:
    """x = f(x, theta), found by applying f to x0 again and again.

    Args:
        f: `f(x, theta)`, smooth, of the structure, shapes and types of x; repeated, it
            must converge (a contraction near the solution does). Hand over in
            theta what is to receive a gradient: JAX refuses one of what f closes over.
        x0: pytree of float arrays, where to begin; its gradient is 0.
        theta: pytree of float arrays, the parameters of f.
        iterations: at most; it stops once x moves by rounding only.

    Returns:
        x, as x0; NaN if it has not settled by then, or has overflowed.

    Raises:
        ValueError: f gives another structure, shape or type than x0, x0 is not of
            floats, or iterations is below 1.

    Source: Bai, Kolter, Koltun 2019, arXiv:1909.01377 (implicit function theorem).
    """
    return fixed_point_fwd(f, x0, theta, iterations)[0]


def fixed_point_fwd(f, x0, theta, iterations):
    x0, theta = jax.tree.map(jnp.asarray, (x0, theta))
    _check_arguments(f, x0, theta, iterations)
    x = _root(lambda x: f(x, theta), x0, iterations)
    return x, Residuals(x, theta)


def fixed_point_bwd(f, iterations, res, dx):
    """Returns dx0 = 0 and dtheta, as x0 and theta."""
    x, theta = res
    _, pullback = jax.vjp(f, x, theta)
    w = _solve(lambda w: pullback(w)[0], dx, iterations)
    return jax.tree.map(jnp.zeros_like, x), pullback(w)[1]


fixed_point.defvjp(fixed_point_fwd, fixed_point_bwd)


def fixed_point_jvp(f, iterations, primals, tangents):
    x0, theta = primals
    x, _ = fixed_point_fwd(f, x0, theta, iterations)
    _, along_x = jax.linearize(lambda x: f(x, theta), x)
    _, Gdtheta = jax.jvp(lambda theta: f(x, theta), (theta,), (tangents[1],))
    return x, _solve(along_x, Gdtheta, iterations)


def _root(f, x0, iterations):
    """x with x = f(x). `custom_root` and `custom_linear_solve` change no number: they
    tell JAX what x solves, so that second derivatives do not go through iterations
    either."""

    def settle(gap, x):
        return _settle(lambda x: _add(x, gap(x)), x, iterations)

    def moved(slope, y):  # slope is F - I, and it is to give y
        minus_y = jax.tree.map(jnp.negative, y)
        return _solve(lambda w: _add(w, slope(w)), minus_y, iterations)

    return lax.custom_root(lambda x: _add(f(x), x, -1), x0, settle, moved)


def _solve(F, b, iterations):
    """w with w = b + F(w), F linear."""

    def solve(gap, b):
        return _settle(lambda w: _add(b, _add(w, gap(w), -1)), b, iterations)

    gap = lambda w: _add(w, F(w), -1)  # noqa: E731
    return lax.custom_linear_solve(gap, b, solve, transpose_solve=solve)


def _settle(step, x, iterations):
    """Apply `step` until x moves by rounding only; NaN if that takes too long.

    What goes to 0 always moves by more than its own roundings: at the end those of the
    largest that it has been are enough.
    """

    def moves(carry):
        x, move, _, i = carry
        return _is_above(move, _largest(x)) & (i < iterations)

    def once(carry):
        x, _, most, i = carry
        new = step(x)
        most = jax.tree.map(jnp.maximum, most, _largest(new))
        return new, _largest(_add(new, x, -1)), most, i + 1

    x, move, most, _ = lax.while_loop(moves, once, once((x, None, _largest(x), 0)))
    moved = _is_above(move, most)
    return jax.tree.map(lambda a: jnp.where(moved | jnp.isinf(a), jnp.nan, a), x)


def _largest(x):
    """The largest entry of each array by size."""
    return jax.tree.map(lambda a: jnp.max(abs(a), initial=0), x)


def _is_above(move, sizes):
    """Whether an array moves by more than a few roundings of such a size."""
    above = jax.tree.map(lambda m, s: m > 4 * jnp.finfo(s.dtype).eps * s, move, sizes)
    return jnp.array(jax.tree.leaves(above)).any()


def _add(a, b, sign=1):
    return jax.tree.map(lambda x, y: x + sign * y, a, b)


def _check_arguments(f, x0, theta, iterations):
    expect("fixed_point", "iterations", iterations, "1 or more", iterations >= 1)
    for leaf in jax.tree.leaves(x0):
        expect_floats("fixed_point", x0=leaf)
    shape = partial(jax.tree.map, lambda a: f"{a.dtype}{list(a.shape)}")
    given, expected = shape(jax.eval_shape(f, x0, theta)), shape(x0)
    expect(
        "fixed_point", "f(x0, theta)", given, f"as x0, {expected}", given == expected
    )


def layer(x, theta):
    """A deep equilibrium layer: tanh(x @ V + u) with V = W / (1 + sum W^2), no longer
    than 1/2, so that it contracts whatever W is."""
    W, u = theta
    return jnp.tanh(x @ W / (1 + (W * W).sum()) + u)


def example(key, N, D):
    key_W, key_u = jax.random.split(key)
    W = jax.random.normal(key_W, (D, D)) / D
    u = jax.random.normal(key_u, (N, D))
    return jnp.zeros_like(u), (W, u)


def unrolled(f, x0, theta, iterations=1000):
    """The iterations themselves, 200 at most, for `jax.vjp` to go back through."""
    _check_arguments(f, x0, theta, iterations)
    step = lambda x, _: (f(x, theta), None)  # noqa: E731
    return lax.scan(step, lax.stop_gradient(x0), length=min(iterations, 200))[0]


rule = Rule(
    op=fixed_point,
    fwd=fixed_point_fwd,
    bwd=fixed_point_bwd,
    jvp=fixed_point_jvp,
    example=example,
    reference=unrolled,
    cases=(Case({"N": 3, "D": 5}, (layer, 1000)), Case({"N": 1, "D": 1}, (layer, 500))),
    bench=Case({"N": 64, "D": 64}, (layer, 1000)),
    zero=("x0",),
    source="Bai, Kolter, Koltun 2019, arXiv:1909.01377",
)
