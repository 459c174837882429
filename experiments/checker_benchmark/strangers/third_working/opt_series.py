"""Time series and numerical tools: filters, volatility, quadrature, Toeplitz."""

import jax
import jax.numpy as jnp
from jax import lax

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


def space_model(*gaps: int):
    def args(rng):
        turn = jnp.array([[0.9, 0.2], [-0.2, 0.9]], jnp.float32)
        look = jnp.array([[1.0, 0.0], [0.5, 1.0]], jnp.float32)
        noises = positive(rng, 2, low=0.1, high=0.5), positive(rng, 2)
        seen = jnp.ones(6, bool).at[jnp.array(gaps, int)].set(False)
        return normal(rng, 6, 2), turn, look, *noises, seen

    return args


@case(
    "dynamax: lgssm_filter's marginal likelihood, observations may be missing",
    "Kalman filter",
    space_model(),
    Twin(
        "updated mean",
        "residual|operand|index",
        "h",
        "The observation's part takes the updated for the predicted mean.",
    ),
    Twin(
        "gain held",
        "term|path",
        "f h q r",
        "The gain is held fixed in the update of the mean.",
    ),
    Twin(
        "missing rows",
        "mask|region|predicate",
        "y f h q r",
        "Steps without an observation go back through the update.",
        witness=space_model(1, 4),
    ),
    options=lambda plain: {"edges": False},
    fixed=(1, 2, 3, 4),
    narrow=False,
)
def kalman_log_likelihood(slip):
    """Noises q and r are variances; the first state is standard normal."""

    def run(y, f, h, q, r, seen):
        def step(carry, row):
            m, p, total = carry
            y, seen = row
            a = p @ h.T
            v, s = y - h @ m, h @ a + jnp.diag(r)
            w, gain = jnp.linalg.solve(s, v), jnp.linalg.solve(s, a.T).T
            term = v @ w + jnp.linalg.slogdet(s)[1] + len(v) * jnp.log(2 * jnp.pi)
            m_new = m + jnp.where(seen, a @ w, 0)
            p_new = p - jnp.where(seen, gain @ a.T, 0)
            total = total - jnp.where(seen, 0.5 * term, 0).astype(m.dtype)
            return (f @ m_new, f @ p_new @ f.T + jnp.diag(q), total), (m, p)

        n = len(q)
        start = jnp.zeros(n, q.dtype), jnp.eye(n, dtype=q.dtype), jnp.zeros((), q.dtype)
        return lax.scan(step, start, (y, seen))

    @jax.custom_vjp
    def log_likelihood(y, f, h, q, r, seen):
        return run(y, f, h, q, r, seen)[0][2]

    def fwd(y, f, h, q, r, seen):
        carry, states = run(y, f, h, q, r, seen)
        return carry[2], (y, f, h, r, seen, states)

    def bwd(res, g):
        y, f, h, r, seen, states = res

        def back(carry, row):
            dm, dp, df, dh, dq, dr = carry
            y, seen, (m, p) = row
            a = p @ h.T
            v, inverse = y - h @ m, jnp.linalg.inv(h @ a + jnp.diag(r))
            w, gain = inverse @ v, a @ inverse
            m_new = m + jnp.where(seen, a @ w, 0)
            p_new = p - jnp.where(seen, gain @ a.T, 0)
            df, dq = df + jnp.outer(dm, m_new) + 2 * dp @ f @ p_new, dq + jnp.diag(dp)
            dm, dp = f.T @ dm, f.T @ dp @ f
            dw = a.T @ dm
            dv = inverse @ dw - g * w
            ds = gain.T @ dp @ gain + 0.5 * g * (jnp.outer(w, w) - inverse)
            cross = jnp.outer(inverse @ dw, w)
            ds = ds - (cross + cross.T) / 2
            da = -2 * dp @ gain + h.T @ ds
            if slip != "gain held":
                da = da + jnp.outer(dm, w)
            mean = m_new if slip == "updated mean" else m
            dh_row = ds @ a.T - jnp.outer(dv, mean) + da.T @ p
            dp_row = da @ h
            dm_row = -h.T @ dv
            rows = dm_row, (dp_row + dp_row.T) / 2, dh_row, jnp.diag(ds), dv
            if slip != "missing rows":
                rows = jax.tree.map(lambda d: jnp.where(seen, d, 0), rows)
            moved = dm + rows[0], dp + rows[1], df, dh + rows[2], dq, dr + rows[3]
            return moved, rows[4]

        zeros = jnp.zeros_like(r, shape=f.shape[:1])
        start = (zeros, jnp.zeros_like(f), jnp.zeros_like(f), jnp.zeros_like(h), zeros)
        carry, dy = lax.scan(
            back, (*start, jnp.zeros_like(r)), (y, seen, states), reverse=True
        )
        return dy, *carry[2:], None

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


def sampled(axis: int):
    shape = (3, 5) if axis == -1 else (5, 5)
    return lambda rng: (normal(rng, *shape), jnp.cumsum(positive(rng, 5)), axis)


@case(
    "quadax.cumulative_trapezoid",
    "quadrature",
    sampled(-1),
    Twin(
        "summed from the start",
        "transpose|index|region|mask",
        "y x",
        "The cotangents are summed forward, like the values.",
    ),
    Twin(
        "left rule",
        "index|region|term|path",
        "y",
        "A panel goes to its left end only, in whole.",
    ),
    Twin(
        "last axis",
        "sum|axis|option|index|transpose",
        "y x",
        "The gradients are those of the last axis, whatever was asked.",
        witness=sampled(0),
    ),
)
def cumulative_trapezoid(slip):
    """Integrals from the first point to each, the first of which is zero."""

    def plain(y, x, axis=-1):
        y = jnp.moveaxis(y, axis, -1)
        panels = jnp.diff(x) * (y[..., 1:] + y[..., :-1]) / 2
        total = jnp.cumsum(panels, -1)
        total = jnp.concatenate([jnp.zeros_like(y[..., :1]), total], -1)
        return jnp.moveaxis(total, -1, axis)

    integrate = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(y, x, axis):
        return plain(y, x, axis), (y, x)

    def bwd(axis, res, g):
        axis = -1 if slip == "last axis" else axis
        y, x = res
        y, g = jnp.moveaxis(y, axis, -1), jnp.moveaxis(g, axis, -1)[..., 1:]
        dpanels = lax.cumsum(g, g.ndim - 1, reverse=slip != "summed from the start")
        half = dpanels * jnp.diff(x) / 2
        zero = jnp.zeros_like(half, shape=(*half.shape[:-1], 1))
        left = jnp.concatenate([half, zero], -1)
        right = jnp.concatenate([zero, half], -1)
        dy = 2 * left if slip == "left rule" else left + right
        widths = dpanels * (y[..., 1:] + y[..., :-1]) / 2
        widths = widths.reshape(-1, widths.shape[-1]).sum(0)
        dx = jnp.pad(widths, (1, 0)) - jnp.pad(widths, (0, 1))
        return jnp.moveaxis(dy, -1, axis), dx

    integrate.defvjp(fwd, bwd)
    return integrate, plain


def returns(rng):
    values = {"mu": 0.05, "omega": 0.1, "alpha": 0.1, "beta": 0.8}
    return normal(rng, 8), {name: jnp.float32(v) for name, v in values.items()}


@case(
    "GARCH(1, 1) in numpyro and blackjax models of returns",
    "volatility",
    returns,
    Twin(
        "first variance held",
        "term|path",
        "params",
        "The stationary variance it starts from depends on the parameters.",
    ),
    Twin("no memory", "term|path", "r params", "A variance ignores the next's."),
    Twin(
        "squares held",
        "term|path",
        "r params",
        "The squared residuals in the next variance are taken as constant.",
    ),
    fixed=(1,),
    narrow=False,
)
def garch_likelihood(slip):
    def variances(e, params):
        omega, alpha, beta = (params[k] for k in ("omega", "alpha", "beta"))

        def step(h, e):
            return omega + alpha * e * e + beta * h, h

        return lax.scan(step, omega / (1 - alpha - beta), e)[1]

    @jax.custom_vjp
    def log_likelihood(r, params):
        e = r - params["mu"]
        h = variances(e, params)
        return -0.5 * (jnp.log(h) + e * e / h).sum()

    def fwd(r, params):
        e = r - params["mu"]
        h = variances(e, params)
        return -0.5 * (jnp.log(h) + e * e / h).sum(), (e, h, params)

    def bwd(res, g):
        e, h, params = res
        omega, alpha, beta = (params[k] for k in ("omega", "alpha", "beta"))
        here = -0.5 * g * (1 - e * e / h) / h
        memory = 0 if slip == "no memory" else beta

        def back(later, here):
            return here + memory * later, here + memory * later

        dh = lax.scan(back, jnp.zeros_like(here[0]), here, reverse=True)[1]
        after = dh[1:]
        de = -g * e / h
        if slip != "squares held":
            de = de.at[:-1].add(2 * alpha * e[:-1] * after)
        rest = 1 - alpha - beta
        first = 0 * dh[0] if slip == "first variance held" else dh[0]
        through = first * omega / rest**2
        grads = {
            "mu": -de.sum(),
            "omega": after.sum() + first / rest,
            "alpha": (after * e[:-1] ** 2).sum() + through,
            "beta": (after * h[:-1]).sum() + through,
        }
        return de, grads

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


@case(
    "Toeplitz operators of structured Gaussian processes, by a circulant and FFT",
    "structured product",
    draw(column=(5,), row=(4,), x=(4, 2)),
    Twin(
        "corner twice",
        "index|elements|region|mask",
        "row",
        "row[0] is not read, the corner is column[0]; yet it has a gradient.",
    ),
    Twin("row not turned", "index|transpose", "row", "Its gradient runs backward."),
    Twin(
        "convolved",
        "transpose|index|function|operand",
        "column row",
        "The spectrum of x is not conjugated.",
    ),
    narrow=False,
)
def toeplitz_product(slip):
    """Of the matrix with that first column and first row (but for the corner)."""

    def circulant(column, row):
        return jnp.concatenate([column, row[:0:-1]])

    @jax.custom_vjp
    def product(column, row, x):
        v = circulant(column, row)
        spectrum = jnp.fft.rfft(v)[:, None] * jnp.fft.rfft(x, v.size, 0)
        return jnp.fft.irfft(spectrum, v.size, 0)[: column.size]

    def fwd(column, row, x):
        return product.fun(column, row, x), (column, row, x)

    def bwd(res, g):
        column, row, x = res
        v = circulant(column, row)
        gf, xf = jnp.fft.rfft(g, v.size, 0), jnp.fft.rfft(x, v.size, 0)
        back = jnp.conj(jnp.fft.rfft(v))[:, None] * gf
        dx = jnp.fft.irfft(back, v.size, 0)[: row.size]
        turned = xf if slip == "convolved" else jnp.conj(xf)
        dv = jnp.fft.irfft((turned * gf).sum(1), v.size)
        rest = dv[column.size :]
        rest = rest if slip == "row not turned" else rest[::-1]
        corner = dv[:1] if slip == "corner twice" else jnp.zeros_like(dv[:1])
        return dv[: column.size], jnp.concatenate([corner, rest]), dx

    product.defvjp(fwd, bwd)
    return product, product.fun
