"""Bugs of sparse maps, adjoint equations, tails of counts and lattices."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def sum_to(shape, a):
    """Sum over the axes along which `shape` was broadcast."""
    a = a.sum(tuple(range(a.ndim - len(shape))))
    ones = [i for i, n in enumerate(shape) if n == 1 and a.shape[i] != 1]
    return a.sum(tuple(ones), keepdims=True)


@case(
    "deep-spin/entmax#18",
    "sparse softmax",
    draw(x=(2, 3, 4)),
    Twin(
        "as reported",
        "sum|axis|index|ratio|factor|operand|constant|duplicates",
        "x",
        "Axes of one are squeezed from the sizes of the supports, which are then "
        "broadcast over the wrong rows.",
        witness=draw(x=(3, 1, 4)),
    ),
    kind="bug",
    name="sparsemax_unit_axis entmax#18",
)
def sparsemax_unit_axis(slip):
    """Over the last axis."""

    @jax.custom_vjp
    def sparsemax(x):
        ordered = -jnp.sort(-x, -1)
        k = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
        excess = jnp.cumsum(ordered, -1) - 1
        size = (k * ordered > excess).sum(-1, keepdims=True)
        threshold = jnp.take_along_axis(excess, size - 1, -1) / size
        return jnp.where(x > threshold, x - threshold, 0)

    def fwd(x):
        p = sparsemax.fun(x)
        return p, p

    def bwd(p, g):
        support = p > 0
        g = jnp.where(support, g, 0)
        size = support.sum(-1, keepdims=True).astype(p.dtype)
        size = size.squeeze() if slip else size[..., 0]
        mean = g.sum(-1) / size
        return (sum_to(p.shape, jnp.where(support, g - mean[..., None], 0)),)

    sparsemax.defvjp(fwd, bwd)
    return sparsemax, sparsemax.fun


def hares_and_lynx(rng):
    rates = jnp.array([0.6, 0.3, 0.5, 0.2], jnp.float32)
    return positive(rng, 2, low=1.0, high=3.0), rates, 0.1, 8


@case(
    "pymc-devs/sunode#35",
    "differential equation",
    hares_and_lynx,
    Twin(
        "as reported",
        "term|path|index|region",
        "start",
        "The loop backward over the observations leaves out that at the first time.",
    ),
    kind="bug",
    name="ode_observations sunode#35",
    fixed=(1,),
    narrow=False,
    scales=(0.1, 1.0),
)
def ode_observations(slip):
    """The states at all times, the first included, of a system of two species."""

    def slope(y, rates):
        birth, eaten, death, gain = rates
        prey, hunters = y
        meetings = prey * hunters
        moves = birth * prey - eaten * meetings, gain * meetings - death * hunters
        return jnp.stack(moves)

    def step(y, rates, dt):
        middle = y + dt / 2 * slope(y, rates)
        return y + dt * slope(middle, rates)

    def plain(start, rates, dt, steps):
        def once(y, _):
            return step(y, rates, dt), y

        last, before = lax.scan(once, start, length=steps)
        return jnp.concatenate([before, last[None]])

    solve = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(start, rates, dt, steps):
        states = plain(start, rates, dt, steps)
        return states, (states, rates)

    def bwd(dt, steps, res, g):
        states, rates = res

        def back(carry, row):
            adjoint, drates, observed = *carry, row[1]
            dy, d = jax.vjp(lambda y, r: step(y, r, dt), row[0], rates)[1](adjoint)
            return (dy + observed, drates + d), None

        observed = g[:-1]
        if slip:
            observed = observed.at[0].set(0)
        carry = g[-1], jnp.zeros_like(rates)
        return lax.scan(back, carry, (states[:-1], observed), reverse=True)[0]

    solve.defvjp(fwd, bwd)
    return solve, plain


@case(
    "stan-dev/math#1833",
    "differential equation",
    lambda rng: (normal(rng, 2), jnp.float32(0.0), jnp.float32(1.1), normal(rng, 2), 8),
    Twin(
        "as reported",
        "zero|path",
        "t0",
        "The solution's gradient for the first time is not set, so it is zero.",
    ),
    kind="bug",
    name="ode_start_time math#1833",
    fixed=(1, 2),
    narrow=False,
)
def ode_start_time(slip):
    """y(t1) of y' = cos(a t) - y / 2, in equal steps with a middle point."""

    def slope(t, y, a):
        return jnp.cos(a * t) - y / 2

    def step(y, t0, t1, a, i, steps):
        dt = (t1 - t0) / steps
        t = t0 + i * dt
        middle = y + dt / 2 * slope(t, y, a)
        return y + dt * slope(t + dt / 2, middle, a)

    def states(y0, t0, t1, a, steps):
        def once(y, i):
            return step(y, t0, t1, a, i, steps), y

        return lax.scan(once, y0, jnp.arange(steps))

    def plain(y0, t0, t1, a, steps):
        return states(y0, t0, t1, a, steps)[0]

    solve = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(y0, t0, t1, a, steps):
        last, before = states(y0, t0, t1, a, steps)
        return last, (before, t0, t1, a)

    def bwd(steps, res, g):
        before, t0, t1, a = res

        def back(carry, row):
            y, i = row
            pull = jax.vjp(lambda *v: step(*v, i, steps), y, t0, t1, a)[1]
            dy, *rest = pull(carry[0])
            return (dy, *(c + d for c, d in zip(carry[1:], rest, strict=True))), None

        carry = (g, *map(jnp.zeros_like, (t0, t1, a)))
        rows = before, jnp.arange(steps)
        dy, dt0, dt1, da = lax.scan(back, carry, rows, reverse=True)[0]
        return dy, jnp.zeros_like(dt0) if slip else dt0, dt1, da

    solve.defvjp(fwd, bwd)
    return solve, plain


@case(
    "stan-dev/math#1662",
    "tail of counts",
    lambda rng: (integers(rng, 6, 4), jnp.float32(2.0), jnp.float32(0.8), 6),
    Twin(
        "as reported",
        "index|residual|operand|elements",
        "shape",
        "A table is made over the sizes of the shape: for a scalar, it has the first "
        "count's terms only, which all counts then take.",
    ),
    kind="bug",
    name="negative_binomial_tail math#1662",
    fixed=(1, 2),
    narrow=False,
)
def negative_binomial_tail(slip):
    """Log-probability that draws are above the counts, all of them below a limit."""

    def masses(shape, rate, limit):
        k = jnp.arange(limit, dtype=rate.dtype)
        a = shape[..., None]
        ways = gammaln(k + a) - gammaln(a) - gammaln(k + 1)
        return k, jnp.exp(ways + a * jnp.log(rate / (1 + rate)) - k * jnp.log1p(rate))

    def reached(counts, limit):
        return jnp.arange(limit) <= counts[:, None]

    def plain(counts, shape, rate, limit):
        _, mass = masses(shape, rate, limit)
        below = jnp.where(reached(counts, limit), mass, 0).sum(-1)
        return jnp.log1p(-below).sum()

    log_tail = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(counts, shape, rate, limit):
        return plain(counts, shape, rate, limit), (counts, shape, rate)

    def bwd(limit, res, g):
        counts, shape, rate = res
        k, mass = masses(shape, rate, limit)
        seen = reached(counts, limit)
        down = -g / (1 - jnp.where(seen, mass, 0).sum(-1))
        a = shape[..., None]
        slopes = digamma(k + a) - digamma(a) + jnp.log(rate / (1 + rate))
        first = seen[: max(shape.size, 1)] if slip else seen
        dshape = down * jnp.where(first, mass * slopes, 0).sum(-1)
        by_rate = a / (rate * (1 + rate)) - k / (1 + rate)
        drate = down * jnp.where(seen, mass * by_rate, 0).sum(-1)
        return None, sum_to(shape.shape, dshape), drate.sum()

    log_tail.defvjp(fwd, bwd)
    return log_tail, plain


ARCS = ((0, 1), (0, 1), (0, 2), (1, 2), (1, 3), (2, 3))


@case(
    "k2-fsa/k2#341",
    "sequence loss over a lattice",
    lambda rng: (normal(rng, 2, len(ARCS)), ARCS),
    Twin(
        "as reported",
        "cotangent",
        "scores",
        "The shares of the arcs are returned, not times the cotangent.",
    ),
    kind="bug",
    name="lattice_scores k2#341",
)
def lattice_scores(slip):
    """Log of the sum over the paths from first to last state, of each lattice."""

    def forward(scores, arcs):
        states = [jnp.zeros_like(scores[:, 0])]
        for state in range(1, 1 + max(end for _, end in arcs)):
            into = [i for i, (_, end) in enumerate(arcs) if end == state]
            ways = [states[arcs[i][0]] + scores[:, i] for i in into]
            states.append(jax.nn.logsumexp(jnp.stack(ways), 0))
        return states

    def plain(scores, arcs):
        return forward(scores, arcs)[-1]

    total_scores = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(scores, arcs):
        states = forward(scores, arcs)
        return states[-1], (scores, states)

    def bwd(arcs, res, g):
        scores, states = res
        rest = {len(states) - 1: jnp.zeros_like(g)}
        for state in reversed(range(len(states) - 1)):
            out = [i for i, (start, _) in enumerate(arcs) if start == state]
            ways = [rest[arcs[i][1]] + scores[:, i] for i in out]
            rest[state] = jax.nn.logsumexp(jnp.stack(ways), 0)
        through = [states[a] + rest[b] - states[-1] for a, b in arcs]
        share = jnp.exp(scores + jnp.stack(through, -1))
        return (share if slip else g[:, None] * share,)

    total_scores.defvjp(fwd, bwd)
    return total_scores, plain
