"""Rules of every day: a block made again, a loss, a step, features of speech."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def block_args(rng):
    params = {
        "scale": normal(rng, 4, mean=1.0, std=0.2),
        "up": normal(rng, 4, 6, std=0.5),
        "down": normal(rng, 6, 4, std=0.5),
    }
    return normal(rng, 3, 4), params


@case(
    "a pre-norm feed-forward block made again in the backward, as by nnx.remat",
    "block without residuals",
    block_args,
    Twin(
        "residual connection",
        "term|path",
        "x",
        "The gradient that passes by the block is forgotten.",
    ),
    Twin(
        "mean square is constant",
        "term",
        "x",
        "RMSNorm's root isn't differentiated.",
    ),
    Twin(
        "before the scale",
        "residual|operand|factor",
        "params",
        "up's gradient meets the normed input without its scale.",
    ),
    close=3e-4,
)
def remat_ffn(slip):
    def norm(x):
        x = x.astype(jnp.float32)
        root = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
        return x * root, root

    def inner(x, params):
        unit, root = norm(x)
        y = (unit * params["scale"]).astype(x.dtype)
        return unit, root, y, y @ params["up"]

    @jax.custom_vjp
    def block(x, params):
        return x + jax.nn.silu(inner(x, params)[-1]) @ params["down"]

    def fwd(x, params):
        return block.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        unit, root, y, z = inner(x, params)
        s = jax.nn.sigmoid(z)
        dz = (g @ params["down"].T) * (s + z * s * (1 - s))
        dy = (dz @ params["up"].T).astype(jnp.float32)
        dunit = dy * params["scale"]
        along = unit * (unit * dunit).mean(-1, keepdims=True)
        if slip == "mean square is constant":
            along = 0
        dx = (root * (dunit - along)).astype(x.dtype)
        if slip != "residual connection":
            dx = dx + g
        seen = unit.astype(x.dtype) if slip == "before the scale" else y
        dparams = {
            "scale": (dy * unit).sum(0).astype(params["scale"].dtype),
            "up": seen.T @ dz,
            "down": jax.nn.silu(z).T @ g,
        }
        return dx, dparams

    block.defvjp(fwd, bwd, optimize_remat=True)
    return block, block.fun


@case(
    "poly_loss_cross_entropy in optax",
    "loss",
    lambda rng: (normal(rng, 5, 4), integers(rng, 4, 5), 2.0),
    Twin(
        "polynomial's sign",
        "sign|term",
        "logits",
        "The polynomial's part pushes the label's probability down.",
    ),
    Twin(
        "probability's slope",
        "factor|operand|function",
        "logits",
        "The label's probability is pulled back as if it were its logarithm.",
    ),
)
def poly_loss(slip):
    def plain(logits, label, epsilon):
        log_p = jax.nn.log_softmax(logits)
        own = jnp.take_along_axis(log_p, label[:, None], -1)[:, 0]
        return -own + epsilon * (1 - jnp.exp(own))

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, label, epsilon):
        return plain(logits, label, epsilon), (jax.nn.softmax(logits), label)

    def bwd(epsilon, res, g):
        p, label = res
        own = jnp.take_along_axis(p, label[:, None], -1)
        if slip == "probability's slope":
            own = jnp.ones_like(own)
        if slip == "polynomial's sign":
            epsilon = -epsilon
        down = p - jax.nn.one_hot(label, p.shape[-1], dtype=p.dtype)
        return g[:, None] * (1 + epsilon * own) * down, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def momenta(rng):
    pair = [{"w": normal(rng, 2, 3), "b": normal(rng, 3)} for _ in range(3)]
    return (*pair, jnp.float32(0.1), jnp.float32(0.9))


@case(
    "sgd with Nesterov's momentum in optax, rate and momentum tuned by gradient",
    "optimiser's step with pytrees",
    momenta,
    Twin(
        "look ahead",
        "term|factor",
        "grads",
        "The gradient counts once, as with the momentum of Polyak.",
    ),
    Twin(
        "momentum's second use",
        "term|path",
        "mu",
        "The rate's side of the momentum, of its use in the update, is forgotten.",
    ),
    Twin(
        "trace after its update",
        "residual|operand",
        "mu",
        "mu's gradient meets the new trace where the old one is meant.",
    ),
    fixed=(3, 4),
)
def nesterov_step(slip):
    @jax.custom_vjp
    def step(params, grads, trace, rate, mu):
        trace = jax.tree.map(lambda g, t: g + mu * t, grads, trace)

        def move(p, g, t):
            return p - rate * (g + mu * t)

        return jax.tree.map(move, params, grads, trace), trace

    def fwd(params, grads, trace, rate, mu):
        new = step.fun(params, grads, trace, rate, mu)
        return new, (grads, trace, new[1], rate, mu)

    def dot(a, b):
        return sum(jax.tree.leaves(jax.tree.map(lambda x, y: (x * y).sum(), a, b)))

    def bwd(res, cotangents):
        grads, old, new, rate, mu = res
        dparams, dtrace = cotangents
        dupdate = jax.tree.map(lambda p: -rate * p, dparams)
        dtrace = jax.tree.map(lambda t, u: t + mu * u, dtrace, dupdate)
        dgrads = dtrace
        if slip != "look ahead":
            dgrads = jax.tree.map(jnp.add, dtrace, dupdate)
        dmu = dot(dtrace, new if slip == "trace after its update" else old)
        if slip != "momentum's second use":
            dmu = dmu + dot(dupdate, new)
        update = jax.tree.map(lambda g, t: g + mu * t, grads, new)
        dold = jax.tree.map(lambda t: mu * t, dtrace)
        return dparams, dgrads, dold, -dot(dparams, update), dmu

    step.defvjp(fwd, bwd)
    return step, step.fun


def recordings(rng):
    return normal(rng, 3, 8), jnp.asarray([8, 5, 6], jnp.int32), 0.97


@case(
    "pre-emphasis and mean normalisation of speech with lengths (jax speech models)",
    "speech",
    recordings,
    Twin(
        "filter forwards",
        "transpose|index|shift",
        "x",
        "The filter's own direction is taken for the cotangent.",
    ),
    Twin(
        "mean over the padding",
        "factor|ratio|mask",
        "x",
        "The mean's cotangent is divided by the padded length.",
    ),
    Twin(
        "mean is constant",
        "term",
        "x",
        "The subtracted mean isn't differentiated.",
    ),
)
def preemphasis_cmvn(slip):
    def valid(x, lengths):
        return jnp.arange(x.shape[1]) < lengths[:, None]

    def plain(x, lengths, alpha):
        before = jnp.pad(x[:, :-1], ((0, 0), (1, 0)))
        y = x - alpha * before
        live = valid(x, lengths)
        total = jnp.where(live, y, 0).sum(1, keepdims=True)
        return jnp.where(live, y - total / lengths[:, None], 0)

    features = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, lengths, alpha):
        return plain(x, lengths, alpha), lengths

    def bwd(alpha, lengths, g):
        live = valid(g, lengths)
        g = jnp.where(live, g, 0)
        count = lengths[:, None]
        if slip == "mean over the padding":
            count = g.shape[1]
        if slip != "mean is constant":
            g = jnp.where(live, g - g.sum(1, keepdims=True) / count, 0)
        after = jnp.pad(g[:, 1:], ((0, 0), (0, 1)))
        if slip == "filter forwards":
            after = jnp.pad(g[:, :-1], ((0, 0), (1, 0)))
        return g - alpha * after, None

    features.defvjp(fwd, bwd)
    return features, plain
