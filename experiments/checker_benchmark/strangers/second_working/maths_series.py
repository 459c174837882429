"""Functions of one variable and signals: splines, Chebyshev series, wavelets."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def samples(rng, low: float, high: float):
    return normal(rng, 6), positive(rng, 4, low=low, high=high), low, high


@case(
    "interpax.interp1d with natural cubic splines",
    "spline",
    lambda rng: samples(rng, 0.0, 5.0),
    Twin("curvature fixed", "path|term", "y", "Curvatures do not depend on y."),
    Twin("slope's sign", "sign|term", "t", "The left weight falls; its term does not."),
    Twin(
        "knots one apart",
        "factor|ratio|operand",
        "y t",
        "The distance of the knots is taken for 1.",
        witness=lambda rng: samples(rng, -1.0, 2.0),
    ),
    fixed=(1,),
    narrow=False,
)
def natural_cubic_spline(slip):
    """Through y at even knots from low to high, at t; curvature 0 at both ends."""

    def system(n, dtype):
        middle = jnp.eye(n - 2, dtype=dtype) * (2 / 3)
        beside = jnp.eye(n - 2, k=1, dtype=dtype) / 6
        return middle + beside + beside.T

    def curvature(y, h):
        bend = (y[:-2] - 2 * y[1:-1] + y[2:]) / h**2
        return jnp.pad(jnp.linalg.solve(system(y.size, y.dtype), bend), 1)

    def weights(y, t, low, h):
        position = (t - low) / h
        i = jnp.clip(jnp.floor(position), 0, y.size - 2).astype(jnp.int32)
        return i, 1 - (position - i), position - i

    def evaluate(y, t, low, high):
        h = (high - low) / (y.size - 1)
        i, a, b = weights(y, t, low, h)
        m = curvature(y, h)
        bend = (a**3 - a) * m[i] + (b**3 - b) * m[i + 1]
        return a * y[i] + b * y[i + 1] + bend * h**2 / 6

    spline = jax.custom_vjp(evaluate, nondiff_argnums=(2, 3))

    def fwd(y, t, low, high):
        return evaluate(y, t, low, high), (y, t)

    def bwd(low, high, res, g):
        y, t = res
        h = (high - low) / (y.size - 1)
        i, a, b = weights(y, t, low, h)
        m = curvature(y, h)
        left = -(3 * a**2 - 1) * m[i]
        if slip == "slope's sign":
            left = -left
        if slip == "knots one apart":
            h = 1.0
        slope = (y[i + 1] - y[i]) / h + h / 6 * (left + (3 * b**2 - 1) * m[i + 1])
        dy = jnp.zeros_like(y).at[i].add(a * g).at[i + 1].add(b * g)
        dm = jnp.zeros_like(y).at[i].add((a**3 - a) * g)
        dm = dm.at[i + 1].add((b**3 - b) * g) * (high - low) ** 2
        dm = dm / (6 * (y.size - 1) ** 2)
        dbend = jnp.linalg.solve(system(y.size, y.dtype), dm[1:-1]) / h**2
        if slip != "curvature fixed":
            dy = dy.at[:-2].add(dbend).at[1:-1].add(-2 * dbend).at[2:].add(dbend)
        return dy, g * slope

    spline.defvjp(fwd, bwd)
    return spline, evaluate


@case(
    "quadax and orthax: series in Chebyshev polynomials",
    "polynomial",
    lambda rng: (normal(rng, 5), positive(rng, 6, low=-1.0, high=1.0)),
    Twin("no degree", "factor|ratio|operand", "x", "T_k' is taken for U_(k-1)."),
    Twin("degree too high", "index|operand", "x", "T_k' is taken for k U_k."),
    Twin("half a constant", "factor|ratio|index", "c", "The first is counted half."),
    fixed=(1,),
    scales=(1.0,),
)
def chebyshev_series(slip):
    """The sum of c_k T_k(x), by Clenshaw's recurrence."""

    def plain(c, x):
        def step(later, ck):
            b1, b2 = later
            return (ck + 2 * x * b1 - b2, b1), None

        zero = jnp.zeros_like(x)
        (b1, b2), _ = jax.lax.scan(step, (zero, zero), c[:0:-1])
        return c[0] + x * b1 - b2

    @jax.custom_vjp
    def series(c, x):
        return plain(c, x)

    def fwd(c, x):
        return plain(c, x), (c, x)

    def recurrence(x, second, n):
        rows = [jnp.ones_like(x), second]
        for _ in range(n):
            rows.append(2 * x * rows[-1] - rows[-2])
        return rows

    def bwd(res, g):
        c, x = res
        n = c.size
        first = jnp.stack(recurrence(x, x, n)[:n])
        second = [jnp.zeros_like(x), *recurrence(x, 2 * x, n)]
        if slip == "degree too high":
            second = second[1:]
        degrees = jnp.arange(n, dtype=c.dtype)
        if slip == "no degree":
            degrees = jnp.ones_like(degrees)
        dc = (first * g).reshape(n, -1).sum(1)
        if slip == "half a constant":
            dc = dc.at[0].multiply(0.5)
        return dc, g * jnp.tensordot(degrees * c, jnp.stack(second[:n]), 1)

    series.defvjp(fwd, bwd)
    return series, plain


@case(
    "jaxwavelets and jaxwt: wavedec",
    "wavelet transform",
    lambda rng: (*draw(x=(8,))(rng), 1),
    Twin(
        "filters turned", "index|operand|transpose", "x", "Convolved, not its adjoint."
    ),
    Twin("open ends", "region|index|mask|term", "x", "What wraps around is dropped."),
    Twin(
        "coarse only",
        "path|term|index|operand",
        "x",
        "Details of all levels but the last are left out.",
        witness=lambda rng: (*draw(x=(16,))(rng), 3),
    ),
)
def wavelet_step(slip):
    """Periodic, Daubechies with four taps: details of each level, then the rest."""
    root = 3**0.5
    low = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * 2**0.5)
    high = low[::-1] * np.array([1, -1, 1, -1])

    def taps(n):
        return (2 * np.arange(n // 2)[:, None] + np.arange(4)) % n

    def transform(x, levels):
        details = []
        for _ in range(levels):
            window = x[taps(x.size)]
            details.append(window @ jnp.asarray(high, x.dtype))
            x = window @ jnp.asarray(low, x.dtype)
        return details, x

    wavedec = jax.custom_vjp(transform, nondiff_argnums=(1,))

    def fwd(x, levels):
        return transform(x, levels), None

    def bwd(levels, _, g):
        details, rest = g
        lo, hi = (jnp.asarray(f, rest.dtype) for f in (low, high))
        if slip == "filters turned":
            lo, hi = lo[::-1], hi[::-1]
        for level, d in reversed(list(enumerate(details))):
            n = 2 * d.size
            if slip == "coarse only" and level < levels - 1:
                d = jnp.zeros_like(d)
            each = rest[:, None] * lo + d[:, None] * hi
            if slip == "open ends":
                each = each.at[-1, 2:].set(0)
            rest = jnp.zeros(n, rest.dtype).at[taps(n)].add(each)
        return (rest,)

    wavedec.defvjp(fwd, bwd)
    return wavedec, transform
