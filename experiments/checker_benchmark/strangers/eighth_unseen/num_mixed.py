"""Kernels, a Gaussian process and a log-density."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def one_set(rng):
    return normal(rng, 5, 3), None, normal(rng, 3, std=0.5), normal(rng)


@case(
    "linear kernel with a variance for each dimension in GPJax and gpytorch",
    "kernel matrix",
    one_set,
    Twin(
        "one side",
        "term|path|sum",
        "x1",
        "The points stand on both sides, the gradient has the left one's.",
    ),
    Twin(
        "logarithms",
        "factor|function|operand",
        "log_var",
        "The gradient is the variances', not their logarithms'.",
    ),
    Twin(
        "bias averaged",
        "ratio|factor|sum",
        "log_bias",
        "The bias is in all entries, its gradient is their mean.",
    ),
)
def linear_kernel_ard(slip):
    @jax.custom_vjp
    def kernel(x1, x2, log_var, log_bias):
        right = x1 if x2 is None else x2
        return (x1 * jnp.exp(log_var)) @ right.T + jnp.exp(log_bias)

    def fwd(x1, x2, log_var, log_bias):
        return kernel.fun(x1, x2, log_var, log_bias), (x1, x2, log_var, log_bias)

    def bwd(res, g):
        x1, x2, log_var, log_bias = res
        right = x1 if x2 is None else x2
        var = jnp.exp(log_var)
        left_grad, right_grad = (g @ right) * var, g.T @ (x1 * var)
        dvar = ((g @ right) * x1).sum(0)
        if slip != "logarithms":
            dvar = dvar * var
        total = g.mean() if slip == "bias averaged" else g.sum()
        dbias = total * jnp.exp(log_bias)
        if x2 is not None:
            return left_grad, right_grad, dvar, dbias
        dx = left_grad if slip == "one side" else left_grad + right_grad
        return dx, None, dvar, dbias

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


def frequencies(rng):
    params = {
        "log_weight": normal(rng, 2),
        "mean": normal(rng, 2, std=0.3),
        "log_scale": normal(rng, 2, mean=-2.0, std=0.3),
    }
    return normal(rng, 5), normal(rng, 4), params


@case(
    "spectral mixture kernel in gpytorch and GPflow ports",
    "kernel matrix with a pytree",
    frequencies,
    Twin(
        "damping",
        "term|path",
        "x1 x2",
        "The points' gradient has the cosine's part only.",
    ),
    Twin(
        "square of the scale",
        "ratio|factor",
        "params",
        "The two of the squared scale is left out.",
    ),
    Twin(
        "sign of the second",
        "sign|swap",
        "x2",
        "Both sets of points get the gradient of their difference.",
    ),
    fixed=(2,),
    narrow=False,
)
def spectral_mixture_kernel(slip):
    def pieces(x1, x2, params):
        lag = (x1[:, None] - x2[None])[..., None]
        decay = 2 * np.pi**2 * jnp.exp(2 * params["log_scale"])
        envelope = jnp.exp(params["log_weight"] - decay * lag**2)
        return lag, decay, envelope, 2 * np.pi * params["mean"] * lag

    @jax.custom_vjp
    def kernel(x1, x2, params):
        _, _, envelope, phase = pieces(x1, x2, params)
        return (envelope * jnp.cos(phase)).sum(-1)

    def fwd(x1, x2, params):
        return kernel.fun(x1, x2, params), (x1, x2, params)

    def bwd(res, g):
        lag, decay, envelope, phase = pieces(*res)
        up = g[..., None] * envelope
        wave, turn = up * jnp.cos(phase), -up * jnp.sin(phase)
        two = 1 if slip == "square of the scale" else 2
        dparams = {
            "log_weight": wave.sum((0, 1)),
            "mean": 2 * np.pi * (turn * lag).sum((0, 1)),
            "log_scale": -two * decay * (wave * lag**2).sum((0, 1)),
        }
        dlag = turn * 2 * np.pi * res[2]["mean"]
        if slip != "damping":
            dlag = dlag - 2 * decay * lag * wave
        dlag = dlag.sum(-1)
        second = dlag.sum(0)
        return dlag.sum(1), second if slip.startswith("sign") else -second, dparams

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


def regression(rng):
    train, target, test = normal(rng, 6, 2), normal(rng, 6), normal(rng, 4, 2)
    return train, target, test, jnp.float32(0.1), jnp.float32(-1.0)


@case(
    "posterior mean of a Gaussian process in tinygp and GPJax",
    "Gaussian process",
    regression,
    Twin(
        "training points on one side",
        "term|path|sum",
        "train",
        "The training kernel is pulled back to its rows, not to its columns.",
    ),
    Twin(
        "inverse's sign",
        "sign",
        "log_noise",
        "The noise's gradient has not the minus of the inverse.",
    ),
    Twin(
        "kernel of the tests",
        "term|path",
        "log_length",
        "The length's gradient has the training kernel's part only.",
    ),
    narrow=False,
    fixed=(3, 4),
    scales=(0.5, 1.0, 2.0),
)
def gp_posterior_mean(slip):
    def rbf(a, b, log_length):
        diff = a[:, None] - b[None]
        square = (diff**2).sum(-1) * jnp.exp(-2 * log_length)
        return diff, square, jnp.exp(-0.5 * square)

    def noisy(train, log_length, log_noise):
        noise = jnp.exp(2 * log_noise) + 1e-2
        return rbf(train, train, log_length)[2] + noise * jnp.eye(len(train))

    @jax.custom_vjp
    def mean(train, target, test, log_length, log_noise):
        weights = jnp.linalg.solve(noisy(train, log_length, log_noise), target)
        return rbf(test, train, log_length)[2] @ weights

    def fwd(*args):
        train, target, test, log_length, log_noise = args
        gram = noisy(train, log_length, log_noise)
        weights = jnp.linalg.solve(gram, target)
        return rbf(test, train, log_length)[2] @ weights, (args, gram, weights)

    def bwd(res, g):
        (train, _, test, log_length, log_noise), gram, weights = res

        def through(a, b, up):
            diff, square, value = rbf(a, b, log_length)
            up = up * value
            pull = (up * jnp.exp(-2 * log_length))[..., None] * diff
            return -pull.sum(1), pull.sum(0), (up * square).sum()

        cross = rbf(test, train, log_length)[2]
        dtarget = jnp.linalg.solve(gram, cross.T @ g)
        dgram = -jnp.outer(dtarget, weights)
        rows, columns, own = through(train, train, dgram)
        dtest, dtrain, other = through(test, train, jnp.outer(g, weights))
        dtrain = dtrain + rows
        if slip != "training points on one side":
            dtrain = dtrain + columns
        dlength = own if slip == "kernel of the tests" else own + other
        trace = jnp.trace(dgram) * (-1 if slip == "inverse's sign" else 1)
        return dtrain, dtarget, dtest, dlength, 2 * jnp.exp(2 * log_noise) * trace

    mean.defvjp(fwd, bwd)
    return mean, mean.fun


def rows_and_mask(rng):
    mask = jnp.asarray(rng.uniform(size=(5, 3)) < 0.7)
    return normal(rng, 5, 3), normal(rng, 3), normal(rng, 3), mask


@case(
    "Laplace's log-density over masked events in numpyro",
    "log-density",
    rows_and_mask,
    Twin(
        "masked entries",
        "mask",
        "x loc raw_scale",
        "Masked entries get a gradient.",
    ),
    Twin(
        "normalisation",
        "term|path",
        "raw_scale",
        "The logarithm of the scale is left out.",
    ),
    Twin(
        "scale of a Gaussian",
        "function|factor|operand",
        "x loc",
        "The slope is the standardised residual, not its sign.",
    ),
)
def laplace_log_prob(slip):
    def pieces(x, loc, raw_scale):
        scale = jax.nn.softplus(raw_scale) + 1e-2
        return scale, (x - loc) / scale

    @jax.custom_vjp
    def log_prob(x, loc, raw_scale, mask):
        scale, z = pieces(x, loc, raw_scale)
        each = -jnp.abs(z) - jnp.log(2 * scale)
        return jnp.where(mask, each, 0).sum(-1)

    def fwd(x, loc, raw_scale, mask):
        return log_prob.fun(x, loc, raw_scale, mask), (x, loc, raw_scale, mask)

    def bwd(res, g):
        x, loc, raw_scale, mask = res
        scale, z = pieces(x, loc, raw_scale)
        up = jnp.broadcast_to(g[:, None], x.shape)
        if slip != "masked entries":
            up = jnp.where(mask, up, 0)
        slope = z if slip == "scale of a Gaussian" else jnp.sign(z)
        dx = -up * slope / scale
        own = jnp.abs(z) if slip == "normalisation" else jnp.abs(z) - 1
        dscale = (up * own).sum(0) / scale
        return dx, -dx.sum(0), dscale * jax.nn.sigmoid(raw_scale), None

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun
