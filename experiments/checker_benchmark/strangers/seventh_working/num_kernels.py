"""Kernels and their features, densities by kernels, soft maps of transport."""

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


def features(rng):
    x, frequencies = normal(rng, 5, 3), normal(rng, 3, 4)
    return x, frequencies, positive(rng, 4, high=6.0), normal(rng, 3, std=0.3)


@case(
    "random Fourier features of GPJax and gpytorch's RFFKernel",
    "features of a kernel",
    features,
    Twin(
        "length in the input",
        "factor|ratio",
        "x",
        "The gradient of x is not divided by the lengthscales.",
    ),
    Twin(
        "sine",
        "sign",
        "x frequencies phase log_length",
        "The cosine's slope lacks its minus.",
    ),
    fixed=(2, 3),
    narrow=False,
)
def random_fourier_features(slip):
    def plain(x, frequencies, phase, log_length):
        turned = (x * jnp.exp(-log_length)) @ frequencies + phase
        return (2 / len(phase)) ** 0.5 * jnp.cos(turned)

    embed = jax.custom_vjp(plain)

    def fwd(x, frequencies, phase, log_length):
        out = plain(x, frequencies, phase, log_length)
        return out, (x, frequencies, phase, log_length)

    def bwd(res, g):
        x, frequencies, phase, log_length = res
        scaled = x * jnp.exp(-log_length)
        sine = jnp.sin(scaled @ frequencies + phase)
        down = (2 / len(phase)) ** 0.5 * g * sine
        dturned = down if slip == "sine" else -down
        dscaled = dturned @ frequencies.T
        dx = dscaled * jnp.exp(-log_length)
        dlog_length = -(dscaled * scaled).sum(0)
        if slip == "length in the input":
            dx = dscaled
        return dx, scaled.T @ dturned, dturned.sum(0), dlog_length

    embed.defvjp(fwd, bwd)
    return embed, plain


def two_sets(rng):
    x, y = draw(x=(4, 3), y=(5, 3))(rng)
    return x, y, {"offset": normal(rng), "variance": positive(rng)}, 3


@case(
    "polynomial kernel of GPJax and scikit-learn",
    "kernel matrix",
    two_sets,
    Twin(
        "degree",
        "factor|option|ratio",
        "x y params",
        "The power's exponent does not come down as a factor.",
    ),
    Twin(
        "number of features",
        "factor|ratio",
        "y",
        "The products are means over the features, y's gradient is of sums.",
    ),
)
def polynomial_kernel(slip):
    def base(x, y, params):
        return x @ y.T / x.shape[1] + params["offset"]

    def plain(x, y, params, degree):
        return params["variance"] * base(x, y, params) ** degree

    kernel = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, y, params, degree):
        return plain(x, y, params, degree), (x, y, params)

    def bwd(degree, res, g):
        x, y, params = res
        b = base(x, y, params)
        factor = 1 if slip == "degree" else degree
        db = factor * params["variance"] * g * b ** (degree - 1)
        dparams = {"offset": db.sum(), "variance": (g * b**degree).sum()}
        d = 1 if slip == "number of features" else x.shape[1]
        return db @ y / x.shape[1], db.T @ x / d, dparams

    kernel.defvjp(fwd, bwd)
    return kernel, plain


@case(
    "gaussian_kde of jax.scipy.stats with a learned bandwidth",
    "log-density",
    lambda rng: (normal(rng, 4), normal(rng, 6), normal(rng, std=0.3)),
    Twin(
        "normaliser",
        "term",
        "log_bandwidth",
        "The bandwidth in the kernels' normaliser is forgotten.",
    ),
    Twin(
        "unweighted samples",
        "factor|function|term",
        "samples",
        "Every sample gets the same share of a point's gradient.",
    ),
    fixed=(2,),
)
def kde_log_density(slip):
    def standardised(at, samples, log_bandwidth):
        return (at[:, None] - samples) * jnp.exp(-log_bandwidth)

    def plain(at, samples, log_bandwidth):
        z = standardised(at, samples, log_bandwidth)
        constant = np.log(len(samples) * np.sqrt(2 * np.pi)).item()
        return jax.nn.logsumexp(-0.5 * z * z, axis=1) - log_bandwidth - constant

    density = jax.custom_vjp(plain)

    def fwd(at, samples, log_bandwidth):
        out = plain(at, samples, log_bandwidth)
        z = standardised(at, samples, log_bandwidth)
        return out, (z, log_bandwidth)

    def bwd(res, g):
        z, log_bandwidth = res
        share = g[:, None] * jax.nn.softmax(-0.5 * z * z, axis=1)
        pull = -share * z * jnp.exp(-log_bandwidth)
        dlog = (share * z * z).sum()
        if slip != "normaliser":
            dlog = dlog - g.sum()
        dsamples = -pull.sum(0)
        if slip == "unweighted samples":
            even = g[:, None] * z * jnp.exp(-log_bandwidth) / z.shape[1]
            dsamples = even.sum(0)
        return pull.sum(1), dsamples, dlog

    density.defvjp(fwd, bwd)
    return density, plain


def potentials(rng):
    weights = positive(rng, 4)
    cost = positive(rng, 4, 5)
    return normal(rng, 4), cost, jnp.log(weights / weights.sum()), 0.5


@case(
    "soft c-transform of the dual potentials in ott-jax",
    "optimal transport",
    potentials,
    Twin(
        "regularisation",
        "option|factor|ratio",
        "log_weights",
        "The weights' gradient lacks the regularisation's factor.",
    ),
    Twin(
        "cost's sign",
        "sign",
        "cost",
        "A higher cost lowers the transform.",
    ),
)
def soft_c_transform(slip):
    def exponents(potential, cost, log_weights, eps):
        return (potential[:, None] - cost) / eps + log_weights[:, None]

    def plain(potential, cost, log_weights, eps):
        e = exponents(potential, cost, log_weights, eps)
        return -eps * jax.nn.logsumexp(e, axis=0)

    transform = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(potential, cost, log_weights, eps):
        e = exponents(potential, cost, log_weights, eps)
        return -eps * jax.nn.logsumexp(e, axis=0), jax.nn.softmax(e, axis=0)

    def bwd(eps, plan, g):
        dcost = plan * g
        dpotential = -dcost.sum(1)
        dlog = dpotential if slip == "regularisation" else eps * dpotential
        return dpotential, -dcost if slip == "cost's sign" else dcost, dlog

    transform.defvjp(fwd, bwd)
    return transform, plain


def plan(rng):
    return positive(rng, 4, 5, low=0.05, high=1.0), normal(rng, 5, 2)


@case(
    "barycentric projection of a transport plan in ott-jax",
    "optimal transport",
    plan,
    Twin(
        "mass of the rows",
        "term",
        "plan",
        "The masses of the rows are taken as constant.",
    ),
    Twin(
        "not divided",
        "factor|ratio",
        "targets",
        "The targets' gradient is not divided by the masses.",
    ),
)
def barycentric_map(slip):
    def plain(plan, targets):
        return plan @ targets / plan.sum(1, keepdims=True)

    project = jax.custom_vjp(plain)

    def fwd(plan, targets):
        out = plain(plan, targets)
        return out, (plan, targets, out)

    def bwd(res, g):
        plan, targets, out = res
        scaled = g / plan.sum(1, keepdims=True)
        dplan = scaled @ targets.T
        if slip != "mass of the rows":
            dplan = dplan - (scaled * out).sum(1, keepdims=True)
        return dplan, plan.T @ (g if slip == "not divided" else scaled)

    project.defvjp(fwd, bwd)
    return project, plain
