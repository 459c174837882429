"""Priors of correlations, and covariances of several outputs."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, multigammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def correlation(rng):
    a = rng.normal(size=(4, 9))
    factor = np.linalg.cholesky(np.corrcoef(a))
    return jnp.asarray(factor, jnp.float32), jnp.float32(2.0)


@case(
    "numpyro.distributions.LKJCholesky, with a learned concentration",
    "density",
    correlation,
    Twin(
        "first row",
        "index|region|elements|term",
        "factor",
        "The powers of the diagonal start one row too early.",
    ),
    Twin(
        "normaliser",
        "term|path",
        "concentration",
        "The normaliser is taken for a constant.",
    ),
    Twin(
        "density of the matrix",
        "factor|ratio",
        "concentration",
        "The diagonal's logarithms are counted once, though determinants are squares.",
    ),
    fixed=(0,),
    narrow=False,
)
def lkj_cholesky_log_prob(slip):
    def powers(n, concentration):
        return 2 * (concentration - 1) + n - jnp.arange(2, n + 1)

    def normaliser(n, concentration):
        alpha = concentration + (n - 1) / 2
        constant = 0.5 * (n - 1) * jnp.log(jnp.pi)
        upper = multigammaln(alpha - 0.5, n - 1)
        return constant + upper - (n - 1) * gammaln(alpha)

    def plain(factor, concentration):
        n = len(factor)
        logs = jnp.log(jnp.diag(factor)[1:])
        kernel = (powers(n, concentration) * logs).sum()
        return kernel - normaliser(n, concentration)

    log_prob = jax.custom_vjp(plain)

    def fwd(factor, concentration):
        return plain(factor, concentration), (factor, concentration)

    def bwd(res, g):
        factor, concentration = res
        n = len(factor)
        diagonal = jnp.diag(factor)
        each = powers(n, concentration)
        each = jnp.pad(each, (0, 1) if slip == "first row" else (1, 0))
        dfactor = jnp.diag(g * each / diagonal)
        times = 1 if slip == "density of the matrix" else 2
        dconcentration = times * jnp.log(diagonal[1:]).sum()
        if slip != "normaliser":
            alpha = concentration + (n - 1) / 2
            steps = alpha - 0.5 - jnp.arange(n - 1) / 2
            change = digamma(steps).sum() - (n - 1) * digamma(alpha)
            dconcentration = dconcentration - change
        return dfactor, g * dconcentration

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def tasks(rng, log_kappa=0.0):
    params = {
        "mixing": normal(rng, 3, 2),
        "log_kappa": jnp.full((3,), log_kappa, jnp.float32),
        "length": jnp.float32(1.0),
    }
    return params, normal(rng, 7, 2), integers(rng, 3, 7)


@case(
    "GPJax and gpytorch ports: intrinsic coregionalisation of a few outputs",
    "kernel matrix",
    tasks,
    Twin(
        "points of a task",
        "duplicates|index|sum",
        "params",
        "Of all pairs of points from two tasks one counts.",
    ),
    Twin(
        "one side of the product",
        "transpose|term|path|factor",
        "params",
        "Of the mixing matrix's two places one is differentiated.",
    ),
    Twin(
        "logarithm of the variance",
        "factor|function|term|operand",
        "params",
        "The gradient is for the variances, not for their logarithms.",
        witness=lambda rng: tasks(rng, -1.0),
    ),
    narrow=False,
)
def coregional_covariance(slip):
    """Covariance of points that belong to a task each, as parameters in a dict."""

    def pieces(params, x, task):
        gap = x[:, None] - x[None]
        squares = (gap * gap).sum(-1)
        kernel = jnp.exp(-0.5 * squares / params["length"] ** 2)
        mixing = params["mixing"]
        outputs = mixing @ mixing.T + jnp.diag(jnp.exp(params["log_kappa"]))
        return squares, kernel, outputs[task[:, None], task[None]]

    def plain(params, x, task):
        _, kernel, between = pieces(params, x, task)
        return between * kernel

    covariance = jax.custom_vjp(plain)

    def fwd(params, x, task):
        return plain(params, x, task), (params, x, task)

    def bwd(res, g):
        params, x, task = res
        squares, kernel, between = pieces(params, x, task)
        mixing, length = params["mixing"], params["length"]
        count = len(mixing)
        at = jnp.zeros((count, count), g.dtype).at[task[:, None], task[None]]
        alone = slip == "points of a task"
        doutputs = at.set(g * kernel) if alone else at.add(g * kernel)
        both = doutputs + doutputs.T
        if slip == "one side of the product":
            both = doutputs
        dlog = jnp.diag(doutputs)
        if slip != "logarithm of the variance":
            dlog = dlog * jnp.exp(params["log_kappa"])
        pull = g * between * kernel
        sides = pull + pull.T
        dx = (sides @ x - sides.sum(1)[:, None] * x) / length**2
        dlength = (pull * squares).sum() / length**3
        grads = {"mixing": both @ mixing, "log_kappa": dlog, "length": dlength}
        return grads, dx, None

    covariance.defvjp(fwd, bwd)
    return covariance, plain
