"""Linear systems and programs: Woodbury, exponentials, transport, boxes."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "lineax and tinygp: diagonal plus low rank",
    "linear solve",
    lambda rng: (positive(rng, 5), *draw(u=(5, 2), b=(5,))(rng)),
    Twin("one side of u", "term|path", "u", "u is taken to be there once."),
    Twin("diagonal only", "path|term|operand", "d u b", "The adjoint lacks u."),
    Twin("sign of d", "sign|ratio", "d", "More diagonal is taken for less."),
    fixed=(0,),
    narrow=False,
    scales=(0.1, 1.0),
)
def woodbury_solve(slip):
    """x of (diag(d) + u u^T) x = b."""

    def solve(d, u, b):
        small = jnp.eye(u.shape[1], dtype=u.dtype) + u.T @ (u / d[:, None])
        return (b - u @ jnp.linalg.solve(small, u.T @ (b / d))) / d

    @jax.custom_vjp
    def woodbury(d, u, b):
        return solve(d, u, b)

    def fwd(d, u, b):
        x = solve(d, u, b)
        return x, (d, u, x)

    def bwd(res, g):
        d, u, x = res
        db = g / d if slip == "diagonal only" else solve(d, u, g)
        du = -jnp.outer(db, u.T @ x)
        if slip != "one side of u":
            du = du - jnp.outer(x, u.T @ db)
        return db * x if slip == "sign of d" else -db * x, du, db

    woodbury.defvjp(fwd, bwd)
    return woodbury, solve


@case(
    "continuous-time transition matrices (dynamax, diffrax's linear terms)",
    "matrix exponential",
    lambda rng: (normal(rng, 3, 3, std=0.7), jnp.float32(0.5)),
    Twin("not transposed", "transpose", "a", "The block matrix has A itself."),
    Twin("as if commuting", "function|term|path", "a", "As for numbers: G exp(A)^T."),
    Twin("time left out", "factor|ratio|operand", "a", "dA lacks the time."),
    narrow=False,
    scales=(0.1, 1.0),
)
def matrix_exponential(slip):
    def plain(a, t):
        return jax.scipy.linalg.expm(a * t)

    @jax.custom_vjp
    def transition(a, t):
        return plain(a, t)

    def fwd(a, t):
        e = plain(a, t)
        return e, (a, t, e)

    def frechet(m, g):
        both = jnp.block([[m, g], [jnp.zeros_like(m), m]])
        n = m.shape[0]
        return jax.scipy.linalg.expm(both)[:n, n:]

    def bwd(res, g):
        a, t, e = res
        da = frechet(a * t if slip == "not transposed" else a.T * t, g)
        if slip == "as if commuting":
            da = g @ e.T
        return da if slip == "time left out" else t * da, (g * (a @ e)).sum()

    transition.defvjp(fwd, bwd)
    return transition, plain


@case(
    "ott-jax: regularised cost of Sinkhorn, by the envelope theorem",
    "optimal transport",
    lambda rng: (*draw(x=(5, 2), y=(4, 2))(rng), 1.0),
    Twin("square's two", "factor|ratio", "x y", "The slope of the square lacks its 2."),
    Twin("sign of y", "sign|ratio", "y", "Both clouds are moved the same way."),
    Twin(
        "independent plan",
        "operand|function|residual|factor",
        "x y",
        "Every pair has the same mass.",
    ),
    options=by_reference,
    narrow=False,
    scales=(0.1, 1.0),
)
def sinkhorn_cost(slip):
    """Of two clouds of equal masses; the dual value at the fixed point."""

    def costs(x, y):
        return ((x[:, None] - y) ** 2).sum(-1)

    def sweep(c, f, eps):
        n, m = c.shape
        log = jax.nn.logsumexp
        g = -eps * log((f[:, None] - c) / eps - jnp.log(n * 1.0), axis=0)
        return -eps * log((g - c) / eps - jnp.log(m * 1.0), axis=1), g

    def plain(x, y, eps):
        c = costs(x, y)
        start = jnp.zeros_like(c[:, 0])
        f, _ = lax.scan(lambda f, _: (sweep(c, f, eps)[0], None), start, length=300)
        f, g = sweep(c, f, eps)
        return f.mean() + g.mean()

    def solve(c, eps):
        start = jnp.zeros_like(c[:, 0])
        f = lax.fori_loop(0, 300, lambda _, f: sweep(c, f, eps)[0], start)
        return sweep(c, f, eps)

    def cost(x, y, eps):
        f, g = solve(costs(x, y), eps)
        return f.mean() + g.mean()

    sinkhorn = jax.custom_vjp(cost, nondiff_argnums=(2,))

    def fwd(x, y, eps):
        f, g = solve(costs(x, y), eps)
        return f.mean() + g.mean(), (x, y, f, g)

    def bwd(eps, res, dout):
        x, y, f, g = res
        c = costs(x, y)
        plan = jnp.exp((f[:, None] + g - c) / eps) / c.size
        if slip == "independent plan":
            plan = jnp.ones_like(c) / c.size
        moves = 2 * dout * plan[..., None] * (x[:, None] - y)
        if slip == "square's two":
            moves = moves / 2
        dy = moves.sum(0)
        return moves.sum(1), dy if slip == "sign of y" else -dy

    sinkhorn.defvjp(fwd, bwd)
    return sinkhorn, plain


@case(
    "jaxopt.projection.projection_box_section",
    "projection",
    lambda rng: (normal(rng, 6), positive(rng, 6), jnp.float32(1.7), 0.0, 1.0),
    Twin("all are free", "mask|region|sum", "x w c", "Clipped entries count as free."),
    Twin("weights' own part", "term|path", "w", "w moves the multiplier as well."),
    Twin("sign of c", "sign|ratio", "c", "More of the total lowers the point."),
    options=by_reference,
    fixed=(1, 2),
    narrow=False,
    scales=(0.1, 1.0),
)
def box_section_projection(slip):
    """The nearest point with low <= p <= high and w p = c."""

    def point(x, w, tau, low, high):
        return jnp.clip(x - tau * w, low, high)

    def multiplier(x, w, c, low, high):
        ends = jnp.concatenate([(x - high) / w, (x - low) / w])

        def halve(_, bracket):
            a, b = bracket
            middle = (a + b) / 2
            above = w @ point(x, w, middle, low, high) > c
            return jnp.where(above, middle, a), jnp.where(above, b, middle)

        a, b = lax.fori_loop(0, 60, halve, (ends.min(), ends.max()))
        return (a + b) / 2

    def free(x, w, tau, low, high):
        p = x - tau * w
        return ((p > low) & (p < high)).astype(x.dtype)

    def plain(x, w, c, low, high):
        tau = multiplier(*lax.stop_gradient((x, w, c)), low, high)
        inside = lax.stop_gradient(free(x, w, tau, low, high) * w * w).sum()
        excess = w @ point(x, w, tau, low, high) - c
        tau = tau + excess / jnp.where(inside > 0, inside, 1)
        return point(x, w, tau, low, high)

    def project(x, w, c, low, high):
        return point(x, w, multiplier(x, w, c, low, high), low, high)

    section = jax.custom_vjp(project, nondiff_argnums=(3, 4))

    def fwd(x, w, c, low, high):
        tau = multiplier(x, w, c, low, high)
        return point(x, w, tau, low, high), (x, w, tau)

    def bwd(low, high, res, g):
        x, w, tau = res
        p = point(x, w, tau, low, high)
        inside = free(x, w, tau, low, high)
        if slip == "all are free":
            inside = jnp.ones_like(inside)
        g = inside * g
        total = (inside * w * w).sum()
        share = (g @ w) / jnp.where(total > 0, total, 1)
        dw = -tau * g
        if slip != "weights' own part":
            dw = dw - share * (p - tau * inside * w)
        dx = g - share * inside * w
        return dx, dw, -share if slip == "sign of c" else share

    section.defvjp(fwd, bwd)
    return section, plain
