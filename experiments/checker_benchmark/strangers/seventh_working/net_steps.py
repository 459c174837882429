"""Steps: of a recurrence, of optimisers, of a residual stream, of upsampling."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def sentences(rng):
    params = {
        "w": normal(rng, 3, 4, std=0.5),
        "u": normal(rng, 4, 4, std=0.5),
        "b": normal(rng, 4, std=0.5),
    }
    lengths = jnp.asarray([5, 3], jnp.int32)
    return params, normal(rng, 2, 5, 3), normal(rng, 2, 4), lengths


@case(
    "SimpleCell under RNN with seq_lengths in flax",
    "recurrence with two outputs",
    sentences,
    Twin(
        "state after the step",
        "residual|index|shift",
        "params",
        "The recurrent kernel's gradient meets the state that the step has made.",
    ),
    Twin(
        "kernel transposed",
        "transpose",
        "params xs h",
        "The state's cotangent goes back through u and not its transpose.",
    ),
    Twin(
        "steps of padding",
        "mask",
        "params xs h",
        "The steps behind a sequence's end are pulled back as if they were taken.",
    ),
)
def elman_rnn(slip):
    def cell(params, h, x):
        return jnp.tanh(x @ params["w"] + h @ params["u"] + params["b"])

    def valid(xs, lengths):
        return jnp.arange(xs.shape[1])[:, None] < lengths

    def run(params, xs, h, lengths):
        def step(h, at):
            x, live = at
            new = jnp.where(live[:, None], cell(params, h, x), h)
            return new, (h, new)

        at = (xs.swapaxes(0, 1), valid(xs, lengths))
        last, (before, hs) = lax.scan(step, h, at)
        return last, hs.swapaxes(0, 1), before

    @jax.custom_vjp
    def rnn(params, xs, h, lengths):
        return run(params, xs, h, lengths)[:2]

    def fwd(params, xs, h, lengths):
        last, hs, before = run(params, xs, h, lengths)
        return (last, hs), (params, xs, lengths, before)

    def bwd(res, cotangents):
        params, xs, lengths, before = res
        glast, ghs = cotangents
        u = params["u"] if slip == "kernel transposed" else params["u"].T

        def step(carry, at):
            dh, grads = carry
            x, live, h, g = at
            dh, live = dh + g, live[:, None]
            if slip == "steps of padding":
                live = jnp.ones_like(live)
            new = cell(params, h, x)
            dz = jnp.where(live, dh * (1 - new**2), 0)
            state = new if slip == "state after the step" else h
            more = {"w": x.T @ dz, "u": state.T @ dz, "b": dz.sum(0)}
            grads = jax.tree.map(jnp.add, grads, more)
            return (jnp.where(live, dz @ u, dh), grads), dz @ params["w"].T

        start = (glast, jax.tree.map(jnp.zeros_like, params))
        at = (xs.swapaxes(0, 1), valid(xs, lengths), before, ghs.swapaxes(0, 1))
        (dh, dparams), dxs = lax.scan(step, start, at, reverse=True)
        return dparams, dxs.swapaxes(0, 1), dh, None

    rnn.defvjp(fwd, bwd)
    return rnn, rnn.fun


def trees(rng):
    params = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    grads = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    nu = {"w": positive(rng, 3, 2), "b": positive(rng, 2)}
    return params, grads, nu, jnp.float32(0.1), 0.9


@case(
    "scale_by_rms in optax, differentiated in meta-learning",
    "optimiser's step with pytrees",
    trees,
    Twin(
        "statistics are constant",
        "term|path",
        "grads",
        "The gradient's square in the statistics is not pulled back.",
    ),
    Twin(
        "old statistics",
        "residual|operand|index",
        "grads nu rate",
        "The step is pulled back with the statistics from before the update.",
    ),
    Twin(
        "rate",
        "sign",
        "rate",
        "The rate's gradient has the sign of an ascent.",
    ),
    fixed=(2, 3),
)
def rmsprop_step(slip):
    eps = 1e-6

    def advance(grads, nu, decay):
        return jax.tree.map(lambda g, n: decay * n + (1 - decay) * g * g, grads, nu)

    def plain(params, grads, nu, rate, decay):
        nu = advance(grads, nu, decay)

        def move(p, g, n):
            return p - rate * g * lax.rsqrt(n + eps)

        return jax.tree.map(move, params, grads, nu), nu

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, grads, nu, rate, decay):
        new = plain(params, grads, nu, rate, decay)
        return new, (grads, nu if slip == "old statistics" else new[1], rate)

    def bwd(decay, res, cotangents):
        grads, nu, rate = res
        dparams, dnu = cotangents

        def back(g, n, dp, dn):
            root = lax.rsqrt(n + eps)
            dn = dn + 0.5 * rate * dp * g * root**3
            dg = -rate * dp * root
            if slip != "statistics are constant":
                dg = dg + 2 * (1 - decay) * g * dn
            drate = -(dp * g * root).sum()
            return dg, decay * dn, -drate if slip == "rate" else drate

        both = {k: back(grads[k], nu[k], dparams[k], dnu[k]) for k in grads}
        dgrads, dold, drate = ({k: b[i] for k, b in both.items()} for i in range(3))
        return dparams, dgrads, dold, sum(drate.values())

    step.defvjp(fwd, bwd)
    return step, plain


def at_step(count):
    def args(rng):
        fast, slow = (
            (normal(rng, 3), {"b": normal(rng, 2, 2)}),
            (normal(rng, 3), {"b": normal(rng, 2, 2)}),
        )
        return fast, slow, jnp.asarray(count, jnp.int32), 5, 0.3

    return args


@case(
    "lookahead in optax",
    "optimiser's step with pytrees",
    at_step(10),
    Twin(
        "share of the fast",
        "swap|factor",
        "fast slow",
        "alpha and one minus alpha are exchanged.",
    ),
    Twin(
        "fast weights forgotten",
        "term|path|cotangent",
        "fast slow",
        "Only the slow weights' cotangent is used at a synchronisation.",
    ),
    Twin(
        "always synchronised",
        "mask|region|index",
        "fast slow",
        "Between two synchronisations it is pulled back as at one.",
        witness=at_step(7),
    ),
)
def lookahead_step(slip):
    def plain(fast, slow, count, period, alpha):
        sync = count % period == 0

        def pull(f, s):
            new = s + alpha * (f - s)
            return jnp.where(sync, new, f), jnp.where(sync, new, s)

        both = jax.tree.map(pull, fast, slow)
        return jax.tree.transpose(jax.tree.structure(fast), None, both)

    step = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(fast, slow, count, period, alpha):
        return plain(fast, slow, count, period, alpha), count

    def bwd(period, alpha, count, cotangents):
        gfast, gslow = cotangents
        sync = (count % period == 0) | (slip == "always synchronised")
        share = 1 - alpha if slip == "share of the fast" else alpha

        def total(gf, gs):
            return gs if slip == "fast weights forgotten" else gf + gs

        def to_fast(gf, gs):
            return jnp.where(sync, share * total(gf, gs), gf)

        def to_slow(gf, gs):
            return jnp.where(sync, (1 - share) * total(gf, gs), gs)

        dfast = jax.tree.map(to_fast, gfast, gslow)
        return dfast, jax.tree.map(to_slow, gfast, gslow), None

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "depth-to-space upsampling (sub-pixel convolution) in flax models",
    "upsampling",
    lambda rng: (normal(rng, 2, 3, 2, 4), normal(rng, 4, 12), normal(rng, 12), 2),
    Twin(
        "order of the block",
        "transpose|index|swap",
        "x kernel bias",
        "Within a block rows and columns are exchanged on the way back.",
    ),
    Twin(
        "bias of the mean",
        "factor|ratio|sum",
        "bias",
        "The bias gets the mean over the pixels.",
    ),
)
def pixel_shuffle_conv(slip):
    def plain(x, kernel, bias, r):
        b, h, w, _ = x.shape
        y = (x @ kernel + bias).reshape(b, h, w, r, r, -1)
        return y.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * r, w * r, -1)

    upsample = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, kernel, bias, r):
        return plain(x, kernel, bias, r), (x, kernel)

    def bwd(r, res, g):
        x, kernel = res
        b, h, w, _ = x.shape
        order = (0, 1, 3, 2, 4, 5)
        if slip == "order of the block":
            order = (0, 1, 3, 4, 2, 5)
        dy = g.reshape(b, h, r, w, r, -1).transpose(order).reshape(b, h, w, -1)
        dbias = dy.mean((0, 1, 2)) if slip == "bias of the mean" else dy.sum((0, 1, 2))
        return dy @ kernel.T, jnp.einsum("bhwc,bhwd->cd", x, dy), dbias

    upsample.defvjp(fwd, bwd)
    return upsample, plain
