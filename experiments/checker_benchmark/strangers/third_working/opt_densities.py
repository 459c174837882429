"""Statistics: survival, copulas, truncated normals and counts."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import digamma, gammaln, log_ndtr, ndtri

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def patients(times):
    def args(rng):
        events = jnp.array([1, 0, 1, 1, 0, 1, 1], bool)
        return normal(rng, 7), jnp.array(times, jnp.float32), events

    return args


@case(
    "Cox models of survival analysis in JAX (Breslow's ties)",
    "survival loss",
    patients([2.1, 5.0, 0.4, 3.3, 1.2, 7.5, 2.9]),
    Twin(
        "at risk at ties",
        "mask|predicate|region|edge",
        "scores",
        "Backward, others of the same time are not at risk.",
        witness=patients([2.0, 5.0, 2.0, 3.0, 2.0, 3.0, 7.0]),
    ),
    Twin("censored rows", "mask|region|term|factor", "scores", "They count as events."),
    Twin(
        "mean over patients",
        "ratio|factor|sum|constant",
        "scores",
        "Divided by the number of patients, not of events.",
    ),
    options=lambda plain: {"nondiff": ("times",)},
    fixed=(1,),
)
def cox_partial_likelihood(slip):
    """Negative, by event."""

    def log_risks(scores, at_risk):
        return jax.nn.logsumexp(jnp.where(at_risk, scores, -jnp.inf), -1)

    def at_risk(times):
        return times >= times[:, None]

    @jax.custom_vjp
    def loss(scores, times, events):
        gaps = log_risks(scores, at_risk(times)) - scores
        return jnp.where(events, gaps, 0).sum() / jnp.maximum(events.sum(), 1)

    def fwd(scores, times, events):
        return loss.fun(scores, times, events), (scores, times, events)

    def bwd(res, g):
        scores, times, events = res
        risk = at_risk(times)
        if slip == "at risk at ties":
            risk = (times > times[:, None]) | jnp.eye(len(times), dtype=bool)
        hidden = jnp.where(risk, scores, -jnp.inf)
        shares = jax.nn.softmax(hidden, -1)
        count = jnp.maximum(events.sum(), 1)
        if slip == "mean over patients":
            count = len(events)
        mine = jnp.where(events, g / count, 0).astype(scores.dtype)
        rows = jnp.full_like(mine, g / count) if slip == "censored rows" else mine
        return rows @ shares - mine, jnp.zeros_like(times), None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def uniforms(rng):
    x = normal(rng, 3, 6)
    tril = jnp.linalg.cholesky(jnp.corrcoef(x))
    return positive(rng, 5, 3, low=0.05, high=0.95), tril


@case(
    "numpyro.distributions.GaussianCopula",
    "copula",
    uniforms,
    Twin(
        "marginals",
        "term|path",
        "u",
        "The part of the standard normal margins is left out.",
    ),
    Twin("upper triangle", "mask|region", "tril", "Entries that are not read move."),
    Twin(
        "slope of the quantile",
        "ratio|factor|function",
        "u",
        "Multiplied by the density, where one divides by it.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(0, 1),
    narrow=False,
    scales=(1.0,),
)
def gaussian_copula(slip):
    """Log-density of rows u in (0, 1), with the factor of their correlation."""

    @jax.custom_vjp
    def log_density(u, tril):
        z = ndtri(u)
        w = solve_triangular(tril, z.T, lower=True).T
        return 0.5 * (z * z - w * w).sum(-1) - jnp.log(jnp.diagonal(tril)).sum()

    def fwd(u, tril):
        z = ndtri(u)
        w = solve_triangular(tril, z.T, lower=True).T
        value = 0.5 * (z * z - w * w).sum(-1) - jnp.log(jnp.diagonal(tril)).sum()
        return value, (z, w, tril)

    def bwd(res, g):
        z, w, tril = res
        back = solve_triangular(tril, w.T, lower=True, trans=1).T
        dz = g[:, None] * (-back if slip == "marginals" else z - back)
        inverse_density = (2 * jnp.pi) ** 0.5 * jnp.exp(z * z / 2)
        if slip == "slope of the quantile":
            inverse_density = 1 / inverse_density
        dtril = back.T @ (g[:, None] * w) - jnp.diag(g.sum() / jnp.diagonal(tril))
        if slip != "upper triangle":
            dtril = jnp.tril(dtril)
        return dz * inverse_density, dtril

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


def truncated(x_std: float):
    def args(rng):
        x = jnp.clip(normal(rng, 6, std=x_std), -0.9 * x_std, 0.9 * x_std)
        return x, jnp.float32(0.2), jnp.float32(1.0), -1.0, 2.0

    return args


@case(
    "numpyro.distributions.TruncatedNormal",
    "log-density",
    truncated(1.0),
    Twin("mass", "term|path", "loc scale", "That of the interval is held fixed."),
    Twin(
        "outside",
        "mask|region|predicate|edge",
        "x loc scale",
        "Points outside of the interval have gradients.",
        witness=truncated(3.0),
    ),
    Twin(
        "lower end's sign",
        "sign|ratio|term",
        "loc scale",
        "Both ends move the mass in the same way.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def truncated_normal_log_prob(slip):
    """-inf outside of [low, high], which are numbers."""

    def log_mass(a, b):
        mirrored = a > 0
        small, large = jnp.where(mirrored, -b, a), jnp.where(mirrored, -a, b)
        small, large = log_ndtr(small), log_ndtr(large)
        return large + jnp.log1p(-jnp.exp(small - large))

    def log_normal(z):
        return -0.5 * z * z - 0.5 * jnp.log(2 * jnp.pi).astype(z.dtype)

    def plain(x, loc, scale, low=-1.0, high=1.0):
        mass = log_mass((low - loc) / scale, (high - loc) / scale)
        value = log_normal((x - loc) / scale) - jnp.log(scale) - mass
        return jnp.where((x >= low) & (x <= high), value, -jnp.inf)

    log_prob = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(x, loc, scale, low, high):
        return plain(x, loc, scale, low, high), (x, loc, scale)

    def bwd(low, high, res, g):
        x, loc, scale = res
        if slip != "outside":
            g = jnp.where((x >= low) & (x <= high), g, 0)
        z = (x - loc) / scale
        a, b = (low - loc) / scale, (high - loc) / scale
        mass = log_mass(a, b)
        at_a, at_b = jnp.exp(log_normal(a) - mass), jnp.exp(log_normal(b) - mass)
        if slip == "lower end's sign":
            at_a = -at_a
        if slip == "mass":
            at_a = at_b = jnp.zeros_like(mass)
        dloc = (g * (z - at_a + at_b)).sum() / scale
        dscale = (g * (z * z - 1 - a * at_a + b * at_b)).sum() / scale
        return -g * z / scale, dloc, dscale

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "numpyro.distributions.DirichletMultinomial",
    "log-probability of counts",
    lambda rng: (positive(rng, 4), integers(rng, 6, 3, 4)),
    Twin("total's part", "term|path", "concentration", "That of the sum is left out."),
    Twin(
        "empty categories",
        "mask|region|predicate",
        "concentration",
        "Categories without a count have no gradient.",
        witness=lambda rng: (positive(rng, 4), integers(rng, 6, 3, 4).at[:, 1].set(0)),
    ),
    Twin(
        "total of all rows",
        "sum|axis",
        "concentration",
        "The number of draws is summed over the rows as well.",
    ),
    fixed=(0,),
    narrow=False,
)
def dirichlet_multinomial(slip):
    @jax.custom_vjp
    def log_prob(concentration, counts):
        alpha = concentration
        c = counts.astype(alpha.dtype)
        n, a = c.sum(-1), alpha.sum()
        whole = gammaln(a) + gammaln(n + 1) - gammaln(a + n)
        return whole + (gammaln(alpha + c) - gammaln(alpha) - gammaln(c + 1)).sum(-1)

    def fwd(concentration, counts):
        return log_prob.fun(concentration, counts), (concentration, counts)

    def bwd(res, g):
        alpha, counts = res
        c = counts.astype(alpha.dtype)
        n, a = c.sum(-1), alpha.sum()
        if slip == "total of all rows":
            n = jnp.full_like(n, c.sum())
        each = digamma(alpha + c) - digamma(alpha)
        whole = digamma(a) - digamma(a + n)
        if slip != "total's part":
            each = each + whole[:, None]
        if slip == "empty categories":
            each = jnp.where(c > 0, each, 0)
        return g @ each, None

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun
