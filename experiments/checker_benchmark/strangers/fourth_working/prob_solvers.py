"""Solvers: a fit, a sparse regression and a bounded programme."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def labelled(rng):
    labels = jnp.array([1, 0, 1, 1, 0, 0, 1, 0], jnp.float32)
    return normal(rng, 8, 3), labels, jnp.float32(1.0)


@case(
    "jaxopt.LBFGS on objective.l2_multiclass_logreg, two classes, implicitly",
    "implicit solution",
    labelled,
    Twin(
        "features in the predictions",
        "term|path",
        "features",
        "They are held fixed within the probabilities.",
    ),
    Twin(
        "penalty's Hessian",
        "term|operand|option",
        "features labels penalty",
        "The system that is solved has that of the likelihood only.",
    ),
    Twin(
        "labels' sign",
        "sign|ratio",
        "labels",
        "The label enters with a minus, which is lost.",
    ),
    fixed=(1, 2),
    narrow=False,
    scales=(0.5, 1.0, 1.5),
)
def logistic_regression_fit(slip):
    """Weights of least loss, summed over rows, with a ridge; by Newton's steps."""

    def hessian(features, p, penalty):
        weighted = features * (p * (1 - p))[:, None]
        return features.T @ weighted + penalty * jnp.eye(
            features.shape[1], dtype=p.dtype
        )

    def plain(features, labels, penalty):
        def step(_, w):
            p = jax.nn.sigmoid(features @ w)
            slope = features.T @ (p - labels) + penalty * w
            return w - jnp.linalg.solve(hessian(features, p, penalty), slope)

        start = jnp.zeros_like(features[0])
        return lax.fori_loop(0, 12, step, start)

    fit = jax.custom_vjp(plain)

    def fwd(features, labels, penalty):
        w = plain(features, labels, penalty)
        return w, (features, labels, penalty, w)

    def bwd(res, g):
        features, labels, penalty, w = res
        p = jax.nn.sigmoid(features @ w)
        kept = 0 * penalty if slip == "penalty's Hessian" else penalty
        v = -jnp.linalg.solve(hessian(features, p, kept), g)
        along = features @ v
        dfeatures = jnp.outer(p - labels, v)
        if slip != "features in the predictions":
            dfeatures = dfeatures + jnp.outer(p * (1 - p) * along, w)
        dlabels = along if slip == "labels' sign" else -along
        return dfeatures, dlabels, v @ w

    fit.defvjp(fwd, bwd)
    return fit, plain


def sparse_regression(rng):
    design = normal(rng, 8, 4)
    truth = jnp.array([2.0, 0.0, -1.5, 0.0], jnp.float32)
    return design, design @ truth + 0.1 * normal(rng, 8), jnp.float32(2.0), 60


@case(
    "jaxopt.BlockCoordinateDescent on the lasso, implicitly",
    "implicit solution",
    sparse_regression,
    Twin(
        "support",
        "mask|region|predicate|operand",
        "design target penalty",
        "The system is solved with all columns, not those in use.",
    ),
    Twin(
        "signs of the weights",
        "sign|operand|ratio|factor",
        "penalty",
        "The penalty's slope is as if all weights were positive.",
    ),
    Twin(
        "residual",
        "term|path",
        "design",
        "The design moves the normal matrix only, not the correlations.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def lasso_solution(slip):
    """Of half the squared error plus the penalty times the weights' absolute sum."""

    def plain(design, target, penalty, sweeps):
        squares = jnp.square(design).sum(0)

        def sweep(_, w):
            for j in range(design.shape[1]):
                pull = design[:, j] @ (target - design @ w) + squares[j] * w[j]
                small = jnp.abs(pull) <= penalty
                moved = jnp.where(small, 0, pull - penalty * jnp.sign(pull))
                w = w.at[j].set(moved / squares[j])
            return w

        return lax.fori_loop(0, sweeps, sweep, jnp.zeros_like(design[0]))

    lasso = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(design, target, penalty, sweeps):
        w = plain(design, target, penalty, sweeps)
        return w, (design, target, w)

    def bwd(sweeps, res, g):
        design, target, w = res
        used = w != 0
        if slip == "support":
            used = jnp.ones_like(used)
        columns = jnp.where(used, design, 0)
        gram = columns.T @ columns + jnp.diag(jnp.where(used, 0, 1).astype(w.dtype))
        v = jnp.linalg.solve(gram, jnp.where(used, g, 0))
        fitted = columns @ v
        ddesign = -jnp.outer(fitted, w)
        if slip != "residual":
            ddesign = ddesign + jnp.outer(target - design @ w, v)
        signs = jnp.abs(jnp.sign(w)) if slip == "signs of the weights" else jnp.sign(w)
        return ddesign, fitted, -(signs * v).sum()

    lasso.defvjp(fwd, bwd)
    return lasso, plain


def programme(rng):
    a = normal(rng, 6, 4)
    q = a.T @ a / 6 + 0.5 * jnp.eye(4, dtype=jnp.float32)
    return q, 2 * normal(rng, 4), -jnp.ones(4, jnp.float32), jnp.ones(4, jnp.float32)


def bound(rng):
    q, _, low, high = programme(rng)
    return q, jnp.array([3.0, -0.2, -3.0, 0.3], jnp.float32), low, high


@case(
    "jaxopt.BoxCDQP",
    "quadratic programme",
    programme,
    Twin(
        "bounds through the others",
        "term|path|operand",
        "low high",
        "A bound that is met moves its own entry only, not those that are free.",
        witness=bound,
    ),
    Twin(
        "which bound",
        "mask|region|predicate|swap",
        "low high",
        "All entries at a bound are taken to be at the lower one.",
        witness=bound,
    ),
    Twin(
        "free entries of the solution",
        "operand|mask|region|residual",
        "q",
        "The matrix's gradient has the free entries only of the solution.",
        witness=bound,
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
    fixed=(0,),
)
def box_qp(slip):
    """x of least x Q x / 2 + c x within bounds, by cycles over the coordinates."""

    def plain(q, c, low, high):
        def cycle(_, x):
            for j in range(len(c)):
                best = x[j] - (q[j] @ x + c[j]) / q[j, j]
                x = x.at[j].set(jnp.minimum(jnp.maximum(best, low[j]), high[j]))
            return x

        return lax.fori_loop(0, 60, cycle, jnp.zeros_like(c))

    solve = jax.custom_vjp(plain)

    def fwd(q, c, low, high):
        x = plain(q, c, low, high)
        return x, (q, x, low, high)

    def bwd(res, g):
        q, x, low, high = res
        at_low, at_high = x <= low, x >= high
        free = ~(at_low | at_high)
        both = free[:, None] & free
        system = jnp.where(both, q, jnp.eye(len(x), dtype=x.dtype))
        v = jnp.linalg.solve(system.T, jnp.where(free, g, 0))
        bound = g if slip == "bounds through the others" else g - q.T @ v
        if slip == "which bound":
            at_low, at_high = ~free, jnp.zeros_like(free)
        kept = jnp.where(free, x, 0) if slip == "free entries of the solution" else x
        dlow, dhigh = (jnp.where(at, bound, 0) for at in (at_low, at_high))
        return -jnp.outer(v, kept), -v, dlow, dhigh

    solve.defvjp(fwd, bwd)
    return solve, plain
