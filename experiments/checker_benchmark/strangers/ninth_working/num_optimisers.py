"""Steps of optimisers with beliefs, trust ratios and norms of layers."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def moments(rng):
    arrays = normal(rng, 2, 5), normal(rng, 2, 5), normal(rng, 2, 5)
    return *arrays, positive(rng, 2, 5), 0.1


@case(
    "adabelief in optax",
    "optimiser's step with a variance around the mean",
    moments,
    Twin(
        "square of the gradient",
        "residual|operand|term",
        "grad m",
        "The variance is pulled back as Adam's second moment of the gradient itself.",
    ),
    Twin(
        "mean held",
        "term|path",
        "grad m",
        "The mean in the deviation is taken as constant.",
    ),
    Twin(
        "mean from before",
        "residual|operand",
        "grad m",
        "The deviation is recomputed from the mean before the update.",
    ),
)
def adabelief_step(slip):
    b1, b2, eps, small = 0.9, 0.8, 1e-3, 1e-3

    def plain(params, grad, m, s, rate):
        m = b1 * m + (1 - b1) * grad
        s = b2 * s + (1 - b2) * jnp.square(grad - m) + small
        return params - rate * m / (jnp.sqrt(s) + eps), m, s

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, grad, m, s, rate):
        out = plain(params, grad, m, s, rate)
        return out, (grad, m, out[1], out[2])

    def bwd(rate, res, cts):
        grad, before, m, s = res
        dparams, dm, ds = cts
        root = jnp.sqrt(s)
        dm = dm - rate * dparams / (root + eps)
        ds = ds + dparams * rate * m / (root + eps) ** 2 * 0.5 / root
        deviation = grad - (before if slip == "mean from before" else m)
        if slip == "square of the gradient":
            deviation = grad
        down = 2 * (1 - b2) * deviation * ds
        if slip not in ("mean held", "square of the gradient"):
            dm = dm - down
        return dparams, down + (1 - b1) * dm, b1 * dm, b2 * ds

    step.defvjp(fwd, bwd)
    return step, plain


def layers(rng):
    params = {"kernel": normal(rng, 4, 3), "bias": normal(rng, 3)}
    grads = {"kernel": normal(rng, 4, 3), "bias": normal(rng, 3)}
    return params, grads, jnp.asarray(0.2, jnp.float32), 0.3


@case(
    "lars with optax's scale_by_trust_ratio",
    "optimiser's step with trust ratios",
    layers,
    Twin(
        "ratio held",
        "term|path|factor",
        "params grads",
        "The trust ratio is taken as a constant factor of the update.",
    ),
    Twin(
        "decay only in the update",
        "term|path",
        "params",
        "The weight decay's part of the update is not pulled back to the parameters.",
    ),
    Twin(
        "rate without the ratio",
        "factor|ratio",
        "rate",
        "The rate's gradient is summed over the updates before their trust ratio.",
    ),
)
def lars_step(slip):
    def norm(x):
        square = jnp.sum(x * x)
        some = square > 0
        return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0), some

    def ratio(p, u):
        (over, some), (under, any_) = norm(p), norm(u)
        live = some & any_
        return live, jnp.where(live, over / jnp.where(live, under, 1), 1)

    def plain(params, grads, rate, decay):
        def one(p, g):
            u = g + decay * p
            return p - rate * ratio(p, u)[1] * u

        return jax.tree.map(one, params, grads)

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, grads, rate, decay):
        return plain(params, grads, rate, decay), (params, grads, rate)

    def bwd(decay, res, cts):
        params, grads, rate = res

        def one(p, g, ct):
            u = g + decay * p
            live, r = ratio(p, u)
            drate = -jnp.sum(ct * (u if slip == "rate without the ratio" else r * u))
            du, dp = -rate * r * ct, ct
            if slip != "ratio held":
                lengths = [jnp.where(live, norm(x)[0], 1) for x in (p, u)]
                along = jnp.where(live, -rate * r * jnp.sum(ct * u), 0)
                dp = dp + along * (p / lengths[0]) / lengths[0]
                du = du - along * (u / lengths[1]) / lengths[1]
            if slip != "decay only in the update":
                dp = dp + decay * du
            return dp, du, drate

        out = {k: one(params[k], grads[k], cts[k]) for k in params}
        dparams, dgrads, drates = ({k: out[k][i] for k in out} for i in range(3))
        return dparams, dgrads, sum(drates.values())

    step.defvjp(fwd, bwd)
    return step, plain


def a_list_of_layers(rng):
    shapes = ((3, 2), (4,))
    params = [normal(rng, *s) for s in shapes]
    grads = [normal(rng, *s) for s in shapes]
    first = [normal(rng, *s) for s in shapes]
    return params, grads, first, positive(rng, 2), 0.1


@case(
    "novograd in optax",
    "optimiser's step with a moment for each layer",
    a_list_of_layers,
    Twin(
        "moment of the layer",
        "term|path",
        "grads second",
        "The gradient's part through the layer's squared norm is left out.",
    ),
    Twin(
        "mean of squares",
        "ratio|factor|sum",
        "grads",
        "The squared norm is pulled back as the mean of the squares.",
    ),
    Twin(
        "decay outside",
        "term|factor",
        "params",
        "The weight decay, which is inside of the moment, is pulled back as none.",
    ),
)
def novograd_step(slip):
    b1, b2, eps, decay = 0.9, 0.6, 1e-3, 0.05

    def plain(params, grads, first, second, rate):
        squares = jnp.stack([jnp.sum(g * g) for g in grads])
        second = b2 * second + (1 - b2) * squares
        roots = jnp.sqrt(second + eps)
        trees = zip(params, grads, first, roots, strict=True)
        first = [b1 * m + (g / root + decay * p) for p, g, m, root in trees]
        moved = [p - rate * m for p, m in zip(params, first, strict=True)]
        return moved, first, second

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, grads, first, second, rate):
        out = plain(params, grads, first, second, rate)
        return out, (grads, out[2])

    def bwd(rate, res, cts):
        grads, second = res
        dmoved, dfirst, dsecond = cts
        dfirst = [dm - rate * dp for dp, dm in zip(dmoved, dfirst, strict=True)]
        roots = jnp.sqrt(second + eps)
        through = jnp.stack(
            [-0.5 * jnp.sum(dm * g) for dm, g in zip(dfirst, grads, strict=True)]
        )
        if slip != "moment of the layer":
            dsecond = dsecond + through / roots / (second + eps)
        dgrads = []
        for g, dm, root, ds in zip(grads, dfirst, roots, dsecond, strict=True):
            count = g.size if slip == "mean of squares" else 1
            dgrads.append(dm / root + 2 * (1 - b2) * ds * g / count)
        share = 0.0 if slip == "decay outside" else decay
        dparams = [dp + share * dm for dp, dm in zip(dmoved, dfirst, strict=True)]
        return dparams, dgrads, [b1 * dm for dm in dfirst], b2 * dsecond

    step.defvjp(fwd, bwd)
    return step, plain


def a_far_start(value):
    def args(rng):
        params, grads = normal(rng, 7), normal(rng, 7)
        return params, grads, jnp.asarray(value, jnp.float32), 0.2, 0.9

    return args


@case(
    "polyak_sgd in optax",
    "optimiser's step of the length that the value says",
    a_far_start(1.5),
    Twin(
        "length held",
        "term|path",
        "grads value",
        "The length of the step is taken as a constant.",
    ),
    Twin(
        "largest step learns",
        "mask|region",
        "grads value",
        "The bound on the length is not applied in the backward pass.",
        witness=a_far_start(60.0),
    ),
    Twin(
        "norm for its square",
        "factor|power|ratio",
        "grads",
        "The squared norm is pulled back as if it were the norm.",
    ),
)
def polyak_step_size(slip):
    eps = 1e-3

    def plain(params, grads, value, lowest, longest):
        under = jnp.sum(grads * grads) + eps
        length = jnp.clip((value - lowest) / under, 0, longest)
        return params - length * grads

    step = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(params, grads, value, lowest, longest):
        return plain(params, grads, value, lowest, longest), (grads, value)

    def bwd(lowest, longest, res, g):
        grads, value = res
        under = jnp.sum(grads * grads) + eps
        free = (value - lowest) / under
        length = jnp.clip(free, 0, longest)
        dlength = -jnp.sum(g * grads)
        if slip != "largest step learns":
            dlength = jnp.where((free > 0) & (free < longest), dlength, 0)
        dvalue = dlength / under
        dgrads = -length * g
        if slip == "length held":
            return g, dgrads, jnp.zeros_like(value)
        twice = 1 / jnp.sqrt(under) if slip == "norm for its square" else 2
        return g, dgrads - twice * dvalue * free * grads, dvalue

    step.defvjp(fwd, bwd)
    return step, plain
