"""Losses of images and labels: depth, boxes, distillation, rare classes."""

import jax
import jax.numpy as jnp

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


def depths(rng):
    valid = jnp.asarray(rng.random((2, 4, 5)) < 0.7)
    return positive(rng, 2, 4, 5), positive(rng, 2, 4, 5), valid, 0.85


@case(
    "scale-invariant logarithmic loss of monocular depth (BTS, AdaBins)",
    "loss with a mask",
    depths,
    Twin(
        "mean not weighed",
        "factor|option|ratio",
        "depth target",
        "The squared mean is pulled back without its weight.",
    ),
    Twin(
        "all pixels counted",
        "mask|ratio|factor",
        "depth target",
        "The sums are divided by the number of pixels, not of the valid ones.",
    ),
    Twin(
        "root's half",
        "factor|ratio",
        "depth target",
        "The square root's derivative lacks the half.",
    ),
)
def silog_loss(slip):
    def logs(x):
        return jnp.log(jnp.where(x > 1e-3, x, 1e-3))

    def parts(depth, target, valid, weight):
        d = jnp.where(valid, logs(depth) - logs(target), 0)
        count = jnp.maximum(valid.sum(), 1).astype(d.dtype)
        mean = d.sum() / count
        root = jnp.sqrt((d * d).sum() / count - weight * mean**2 + 1e-6)
        return d, count, mean, root

    def plain(depth, target, valid, weight):
        return 10 * parts(depth, target, valid, weight)[3]

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(depth, target, valid, weight):
        return plain(depth, target, valid, weight), (depth, target, valid)

    def bwd(weight, res, g):
        depth, target, valid = res
        d, count, mean, root = parts(depth, target, valid, weight)
        count = d.size if slip == "all pixels counted" else count
        if slip == "mean not weighed":
            weight = 1.0
        dd = jnp.where(valid, 10 * g * (d - weight * mean) / (count * root), 0)
        if slip == "root's half":
            dd = 2 * dd

        def through_log(x, sign):
            return jnp.where(x > 1e-3, sign * dd / jnp.where(x > 1e-3, x, 1), 0)

        return through_log(depth, 1), through_log(target, -1), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def boxes(rng):
    corner, size = normal(rng, 2, 6, 2), positive(rng, 2, 6, 2)
    predicted, target = jnp.concatenate([corner, corner + size], 2)
    return predicted, target, positive(rng, 6)


@case(
    "distance-IoU loss of torchvision.ops and detectron2",
    "detection loss",
    boxes,
    Twin(
        "union constant",
        "term|path",
        "predicted target",
        "The overlap is not subtracted again from the union.",
    ),
    Twin(
        "diagonal constant",
        "term|path",
        "predicted target",
        "The enclosing box is taken as a constant.",
    ),
    Twin(
        "apart as well",
        "mask|region|predicate",
        "predicted target",
        "Boxes that do not overlap get the gradient of an overlap.",
    ),
)
def diou_loss(slip):
    eps = 1e-6

    def larger(a, b):
        return jnp.where(a > b, a, b)

    def pieces(p, t):
        sides = -larger(-p[:, 2:], -t[:, 2:]) - larger(p[:, :2], t[:, :2])
        open_ = jnp.where(sides > 0, sides, 0)
        inner = open_[:, 0] * open_[:, 1]
        ps, ts = p[:, 2:] - p[:, :2], t[:, 2:] - t[:, :2]
        union = ps[:, 0] * ps[:, 1] + ts[:, 0] * ts[:, 1] - inner + eps
        around = larger(p[:, 2:], t[:, 2:]) + larger(-p[:, :2], -t[:, :2])
        gap = (p[:, :2] + p[:, 2:] - t[:, :2] - t[:, 2:]) / 2
        return sides, open_, inner, ps, ts, union, around, gap

    @jax.custom_vjp
    def loss(predicted, target, weights):
        _, _, inner, _, _, union, around, gap = pieces(predicted, target)
        far = (gap**2).sum(1) / ((around**2).sum(1) + eps)
        return (weights * (1 - inner / union + far)).sum()

    def fwd(predicted, target, weights):
        return loss.fun(predicted, target, weights), (predicted, target, weights)

    def bwd(res, g):
        p, t, weights = res
        sides, open_, inner, ps, ts, union, around, gap = pieces(p, t)
        iou, span = inner / union, (around**2).sum(1) + eps
        far = (gap**2).sum(1) / span
        dg = (g * weights)[:, None]
        dunion = dg * (iou / union)[:, None]
        dinner = -dg / union[:, None]
        if slip != "union constant":
            dinner = dinner - dunion
        dsides = dinner * open_[:, ::-1]
        if slip == "apart as well":
            dsides = dinner * sides[:, ::-1]
        else:
            dsides = jnp.where(sides > 0, dsides, 0)
        daround = -2 * dg * (far / span)[:, None] * around
        if slip == "diagonal constant":
            daround = 0 * daround
        dgap = dg * gap / span[:, None]

        def back(a, b, size, sign):
            low, high = a[:, :2], a[:, 2:]
            grow = dunion * size[:, ::-1]
            at_low, at_high = low > b[:, :2], high < b[:, 2:]
            if sign < 0:
                at_low, at_high = low >= b[:, :2], high <= b[:, 2:]
            dlow = -jnp.where(at_low, dsides, daround) - grow + sign * dgap
            dhigh = jnp.where(at_high, dsides, daround) + grow + sign * dgap
            return jnp.concatenate([dlow, dhigh], 1)

        dp, dt = back(p, t, ps, 1), back(t, p, ts, -1)
        return dp, dt, g * (1 - iou + far)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def students(rng):
    return normal(rng, 5, 6), normal(rng, 5, 6), integers(rng, 6, 5), 1.0, 8.0, 4.0


@case(
    "decoupled knowledge distillation in mdistiller and torchdistill",
    "loss of distillation",
    students,
    Twin(
        "target alone",
        "term|path",
        "student",
        "In the target's part the other logits get nothing.",
    ),
    Twin(
        "temperature once",
        "factor|option|ratio",
        "student teacher",
        "The square of the temperature is kept though the logits are divided by it.",
    ),
    Twin(
        "weights exchanged",
        "swap|option|ratio",
        "student teacher",
        "The two parts get each other's weight.",
    ),
)
def decoupled_distillation(slip):
    def parts(logits, labels, heat):
        z = logits / heat
        mine = jax.nn.one_hot(labels, z.shape[1], dtype=bool)
        rest = jax.nn.log_softmax(jnp.where(mine, -1e30, z))
        lse = jax.nn.logsumexp(jnp.where(mine, -jnp.inf, z), axis=1)
        return mine, rest, jnp.where(mine, z, 0).sum(1) - lse

    def plain(student, teacher, labels, alpha, beta, heat):
        mine, rest, u = parts(student, labels, heat)
        _, taught, v = parts(teacher, labels, heat)
        up, down = jax.nn.log_sigmoid, jax.nn.sigmoid
        two = down(v) * (up(v) - up(u)) + down(-v) * (up(-v) - up(-u))
        many = jnp.where(mine, 0, jnp.exp(taught) * (taught - rest)).sum(1)
        return heat**2 * (alpha * two + beta * many).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4, 5))

    def fwd(student, teacher, labels, alpha, beta, heat):
        value = plain(student, teacher, labels, alpha, beta, heat)
        return value, (student, teacher, labels)

    def bwd(alpha, beta, heat, res, g):
        student, teacher, labels = res
        mine, rest, u = parts(student, labels, heat)
        _, taught, v = parts(teacher, labels, heat)
        if slip == "weights exchanged":
            alpha, beta = beta, alpha
        p, q = jnp.exp(rest), jnp.exp(taught)
        yes, no = jax.nn.sigmoid(v), jax.nn.sigmoid(-v)
        du = alpha * (jax.nn.sigmoid(u) * no - jax.nn.sigmoid(-u) * yes)[:, None]
        dv = alpha * (yes * no * (v - u))[:, None]
        others = beta * (p - q)
        if slip != "target alone":
            others = others - du * p
        scale = heat**2 if slip == "temperature once" else heat
        scale = g * scale / len(labels)
        surprise = jnp.where(mine, 0, taught - rest)
        taught_more = surprise - (q * surprise).sum(1, keepdims=True)
        dteacher = jnp.where(mine, dv, (beta * taught_more - dv) * q)
        return jnp.where(mine, du, others) * scale, dteacher * scale, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def rare(rng):
    labels = jnp.asarray([0, 2, -1, 1, 2, 3, -1], jnp.int32)
    return normal(rng, 7, 4), normal(rng, 4), labels, 1.5


@case(
    "logit adjustment for long-tailed classes (Menon et al.), with ignored labels",
    "loss with a prior of classes",
    rare,
    Twin(
        "prior outside",
        "residual|operand|option",
        "logits log_prior",
        "The backward's softmax is that of the logits without the prior.",
    ),
    Twin(
        "temperature of the prior",
        "factor|option|ratio",
        "log_prior",
        "The prior's gradient lacks the temperature.",
    ),
    Twin(
        "ignored ones pull",
        "mask|zero",
        "logits log_prior",
        "Rows with the label -1 get the gradient of their softmax.",
    ),
)
def logit_adjusted_loss(slip):
    def plain(logits, log_prior, labels, tau):
        logp = jax.nn.log_softmax(logits + tau * log_prior)
        seen = labels >= 0
        picked = jnp.take_along_axis(logp, jnp.where(seen, labels, 0)[:, None], 1)
        return -jnp.where(seen, picked[:, 0], 0).sum() / jnp.maximum(seen.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(logits, log_prior, labels, tau):
        return plain(logits, log_prior, labels, tau), (logits, log_prior, labels)

    def bwd(tau, res, g):
        logits, log_prior, labels = res
        shifted = logits if slip == "prior outside" else logits + tau * log_prior
        seen = labels >= 0
        d = jax.nn.softmax(shifted) - jax.nn.one_hot(labels, logits.shape[1])
        d = (d * g / jnp.maximum(seen.sum(), 1)).astype(logits.dtype)
        if slip != "ignored ones pull":
            d = jnp.where(seen[:, None], d, 0)
        return d, d.sum(0) * (tau if slip != "temperature of the prior" else 1), None

    loss.defvjp(fwd, bwd)
    return loss, plain
