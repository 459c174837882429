"""Densities, quantiles and divergences of distributions."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln, polygamma

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def exceedances(rng):
    x = positive(rng, 7, low=0.1, high=3.0)
    return x, jnp.float32(0.0), jnp.float32(1.0), jnp.float32(0.2)


def exponential_tails(rng):
    x = positive(rng, 5, low=0.1, high=3.0)
    return x, jnp.float32(0.0), jnp.float32(1.0), jnp.float32(0.0)


@case(
    "tfp.substrates.jax.distributions.GeneralizedPareto, concentration zero included",
    "density",
    exceedances,
    Twin(
        "exponential limit",
        "zero|edge|region|term|path",
        "concentration",
        "Where the concentration is zero its gradient is zero as well.",
        witness=exponential_tails,
    ),
    Twin(
        "exponent's one",
        "term|path",
        "concentration",
        "Of the exponent 1 + 1/c only 1/c reaches the concentration.",
    ),
    Twin(
        "normaliser",
        "term|path",
        "scale",
        "The logarithm of the scale in the normaliser is forgotten.",
    ),
    narrow=False,
)
def generalized_pareto_log_prob(slip):
    """Written with log(1 + w) / w, so that w = 0 is nothing special."""

    def ratio(w):
        """log(1 + w) / w."""
        small = jnp.abs(w) < 0.1
        near, far = jnp.where(small, w, 0), jnp.where(small, 1, w)
        series = sum((-near) ** n / (n + 1) for n in range(12))
        return jnp.where(small, series, jnp.log1p(far) / far)

    def slope(w):
        """Of the ratio."""
        small = jnp.abs(w) < 0.1
        near, far = jnp.where(small, w, 0), jnp.where(small, 1, w)
        series = sum(-n * (-near) ** (n - 1) / (n + 1) for n in range(1, 13))
        closed = (far / (1 + far) - jnp.log1p(far)) / (far * far)
        return jnp.where(small, series, closed)

    def plain(x, loc, scale, concentration):
        z = (x - loc) / scale
        w = concentration * z
        return -jnp.log(scale) - z * ratio(w) - jnp.log1p(w)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, scale, concentration):
        return plain(x, loc, scale, concentration), (x, loc, scale, concentration)

    def bwd(res, g):
        x, loc, scale, concentration = res
        z = (x - loc) / scale
        w = concentration * z
        dz = -g * (1 + concentration) / (1 + w)
        dconcentration = -z * z * slope(w)
        if slip != "exponent's one":
            dconcentration = dconcentration - z / (1 + w)
        if slip == "exponential limit":
            dconcentration = jnp.where(w == 0, 0, dconcentration)
        dx = dz / scale
        dscale = -dz * z / scale
        if slip != "normaliser":
            dscale = dscale - g / scale
        return dx, -dx.sum(), dscale.sum(), (g * dconcentration).sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "numpyro.distributions.AsymmetricLaplace, parameters for each column",
    "density",
    lambda rng: (
        normal(rng, 6, 3),
        normal(rng, 3),
        positive(rng, 3),
        positive(rng, 3, low=0.7, high=1.5),
    ),
    Twin(
        "right side only",
        "region|mask|predicate|function|term",
        "asymmetry",
        "Points to the left pull on the asymmetry as those to the right do.",
    ),
    Twin(
        "normaliser",
        "term|path",
        "asymmetry",
        "The sum of the asymmetry and its inverse is taken for a constant.",
    ),
    Twin(
        "location's sign",
        "sign",
        "loc",
        "The location is moved as the points are, not against them.",
    ),
)
def asymmetric_laplace_log_prob(slip):
    def plain(x, loc, scale, asymmetry):
        z = (x - loc) / scale
        rate = jnp.where(z > 0, asymmetry, 1 / asymmetry)
        return -jnp.log(scale) - jnp.log(asymmetry + 1 / asymmetry) - jnp.abs(z) * rate

    @jax.custom_vjp
    def log_prob(x, loc, scale, asymmetry):
        return plain(x, loc, scale, asymmetry)

    def fwd(x, loc, scale, asymmetry):
        return plain(x, loc, scale, asymmetry), (x, loc, scale, asymmetry)

    def bwd(res, g):
        x, loc, scale, k = res
        z = (x - loc) / scale
        right = z > 0
        pull = jnp.sign(z) * jnp.where(right, k, 1 / k)
        dx = -g * pull / scale
        dscale = (g * (pull * z - 1) / scale).sum(0)
        drate = jnp.where(right | (slip == "right side only"), 1, -1 / (k * k))
        dk = -jnp.abs(z) * drate
        if slip != "normaliser":
            dk = dk - (k * k - 1) / (k * (k * k + 1))
        dloc = dx.sum(0) if slip == "location's sign" else -dx.sum(0)
        return dx, dloc, dscale, (g * dk).sum(0)

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "numpyro.distributions.Kumaraswamy.icdf, in place of a beta's draws",
    "quantile",
    lambda rng: (
        positive(rng, 8, low=0.05, high=0.95),
        jnp.float32(2.0),
        jnp.float32(3.0),
    ),
    Twin(
        "outer exponent",
        "factor|ratio",
        "a",
        "The derivative of the exponent 1/a lacks one of its two divisions by a.",
    ),
    Twin(
        "inner exponent",
        "sign|ratio",
        "b",
        "The exponent 1/b is differentiated as if it were b.",
    ),
    Twin(
        "upper tail",
        "operand|residual|function|term",
        "u",
        "The inner power's slope is taken at u instead of 1 - u.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def kumaraswamy_quantile(slip):
    def parts(u, a, b):
        t = jnp.log1p(-u) / b
        inner = jnp.log(-jnp.expm1(t))
        return t, inner, jnp.exp(inner / a)

    @jax.custom_vjp
    def quantile(u, a, b):
        return parts(u, a, b)[2]

    def fwd(u, a, b):
        t, inner, x = parts(u, a, b)
        return x, (u, a, b, t, inner, x)

    def bwd(res, g):
        u, a, b, t, inner, x = res
        gx = g * x
        da = -gx * inner / (a if slip == "outer exponent" else a * a)
        dt = gx / a / -jnp.expm1(-t)
        db = dt * t / b if slip == "inner exponent" else -dt * t / b
        du = -dt / (b * (u if slip == "upper tail" else 1 - u))
        return du, da.sum(), db.sum()

    quantile.defvjp(fwd, bwd)
    return quantile, quantile.fun


@case(
    "numpyro.distributions.kl: Dirichlet against Dirichlet, of evidential classifiers",
    "divergence",
    lambda rng: (positive(rng, 4, 5, high=4.0), jnp.ones((4, 5), jnp.float32)),
    Twin(
        "total's path",
        "term|path",
        "p",
        "The sum of the concentrations is held fixed.",
    ),
    Twin(
        "digamma once more",
        "function",
        "p",
        "The digamma function is differentiated to itself, not to the trigamma.",
    ),
    Twin(
        "expectation",
        "term|path",
        "q",
        "The expected logarithms are left out of the prior's gradient.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def dirichlet_kl(slip):
    """A divergence for each row."""

    @jax.custom_vjp
    def divergence(p, q):
        logs = digamma(p) - digamma(p.sum(-1, keepdims=True))
        own = gammaln(p.sum(-1)) - gammaln(p).sum(-1)
        other = gammaln(q.sum(-1)) - gammaln(q).sum(-1)
        return own - other + ((p - q) * logs).sum(-1)

    def fwd(p, q):
        return divergence.fun(p, q), (p, q)

    def bwd(res, g):
        p, q = res
        total, prior = p.sum(-1, keepdims=True), q.sum(-1, keepdims=True)
        curve = digamma if slip == "digamma once more" else lambda a: polygamma(1, a)
        gap = p - q
        dp = gap * curve(p)
        if slip != "total's path":
            dp = dp - gap.sum(-1, keepdims=True) * curve(total)
        dq = digamma(q) - digamma(prior)
        if slip != "expectation":
            dq = dq - (digamma(p) - digamma(total))
        return g[:, None] * dp, g[:, None] * dq

    divergence.defvjp(fwd, bwd)
    return divergence, divergence.fun
