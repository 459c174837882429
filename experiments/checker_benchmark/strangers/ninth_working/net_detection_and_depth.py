"""Losses of heatmaps, scores of boxes, depths, pairs and spectra."""

import jax
import jax.numpy as jnp

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


def heat(rng):
    near = positive(rng, 2, 4, 5, low=0.0, high=0.95)
    return normal(rng, 2, 4, 5), near, near > 0.8, 2.0, 4.0


@case(
    "penalty-reduced focal loss of CenterNet in jax ports",
    "detection loss",
    heat,
    Twin(
        "focus constant",
        "term|path",
        "logits",
        "The focusing power of the probability is taken as a constant.",
    ),
    Twin(
        "penalty left out",
        "factor|option|ratio",
        "logits",
        "Places near a centre get the gradient of the background.",
    ),
    Twin(
        "divided by the pixels",
        "ratio|factor|sum",
        "logits",
        "The sum is divided by the number of pixels, not of the centres.",
    ),
    fixed=(1,),
)
def centernet_heatmap_loss(slip):
    def tails(logits):
        return jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)

    def plain(logits, near, centre, focus, fade):
        p, q = tails(logits)
        hit = q**focus * jax.nn.log_sigmoid(logits)
        miss = (1 - near) ** fade * p**focus * jax.nn.log_sigmoid(-logits)
        return -jnp.where(centre, hit, miss).sum() / jnp.maximum(centre.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(logits, near, centre, focus, fade):
        return plain(logits, near, centre, focus, fade), (logits, near, centre)

    def bwd(focus, fade, res, g):
        logits, near, centre = res
        p, q = tails(logits)
        away = (1 - near) ** fade
        count = jnp.maximum(centre.sum(), 1)
        if slip == "divided by the pixels":
            count = centre.size
        up, down = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        bent_up, bent_down = focus * p * up, focus * q * down
        if slip == "focus constant":
            bent_up = bent_down = 0
        hit = q**focus * (q - bent_up)
        miss = p**focus * (bent_down - p)
        pull = miss if slip == "penalty left out" else away * miss
        d = -g * jnp.where(centre, hit, pull) / count
        slope = fade * (1 - near) ** (fade - 1) if fade else 0
        dnear = g * jnp.where(centre, 0, slope * p**focus * down)
        return d, dnear / jnp.maximum(centre.sum(), 1), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def disparities(rng):
    valid = jnp.asarray(rng.random((5, 6)) < 0.7)
    return normal(rng, 5, 6), normal(rng, 5, 6), valid, 0.6


@case(
    "reversed Huber loss of depth (Laina et al.) in keras ports",
    "loss with a mask and a fixed threshold",
    disparities,
    Twin(
        "branches exchanged",
        "mask|region|swap|predicate|function",
        "predicted target",
        "The straight part is taken where the parabola is.",
    ),
    Twin(
        "half a parabola",
        "factor|ratio",
        "predicted target",
        "The square over twice the threshold is pulled back without the two.",
    ),
    Twin(
        "holes learn",
        "mask|zero",
        "predicted target",
        "Pixels without a depth get a gradient.",
    ),
)
def berhu_loss(slip):
    def plain(predicted, target, valid, bound):
        size = jnp.abs(predicted - target)
        bent = (size**2 + bound**2) / (2 * bound)
        each = jnp.where(size <= bound, size, bent)
        return jnp.where(valid, each, 0).sum() / jnp.maximum(valid.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(predicted, target, valid, bound):
        value = plain(predicted, target, valid, bound)
        return value, {"gap": predicted - target, "valid": valid}

    def bwd(bound, res, g):
        gap, valid = res["gap"], res["valid"]
        near = jnp.abs(gap) <= bound
        if slip == "branches exchanged":
            near = ~near
        bent = gap / (2 * bound if slip == "half a parabola" else bound)
        d = jnp.where(near, jnp.sign(gap), bent)
        d = d * (g / jnp.maximum(valid.sum(), 1)).astype(d.dtype)
        if slip != "holes learn":
            d = jnp.where(valid, d, 0)
        return d, -d, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def faces(rng):
    same = jnp.arange(8) % 3 == 0
    return normal(rng, 8, 4, std=0.6), normal(rng, 8, 4, std=0.6), same, 1.1


@case(
    "contrastive loss of pairs (Hadsell et al.) in pytorch-metric-learning ports",
    "loss of pairs with a margin",
    faces,
    Twin(
        "margin not closed",
        "mask|region|predicate",
        "first second",
        "Pairs of others beyond the margin are pulled together.",
    ),
    Twin(
        "direction not unit",
        "factor|operand|ratio",
        "first second",
        "The hinge's gradient is along the difference, not its direction.",
    ),
    Twin(
        "both pulled",
        "sign",
        "second",
        "The second embedding gets the first one's gradient.",
    ),
)
def margin_pair_loss(slip):
    def plain(first, second, same, margin):
        square = ((first - second) ** 2).sum(1)
        distance = jnp.sqrt(square + 1e-6)
        room = jnp.where(distance < margin, margin - distance, 0)
        return jnp.where(same, square, room**2).mean() / 2

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(first, second, same, margin):
        return plain(first, second, same, margin), (first, second, same)

    def bwd(margin, res, g):
        first, second, same = res
        gap = first - second
        distance = jnp.sqrt((gap**2).sum(1) + 1e-6)
        room = margin - distance
        if slip != "margin not closed":
            room = jnp.where(distance < margin, room, 0)
        push = -room if slip == "direction not unit" else -room / distance
        d = jnp.where(same, 1, push)[:, None] * gap * (g / len(gap))
        return d, d if slip == "both pulled" else -d, None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "spectral convergence of Parallel WaveGAN's losses",
    "loss of magnitudes",
    lambda rng: (positive(rng, 2, 5, 4), positive(rng, 2, 5, 4)),
    Twin(
        "reference's length constant",
        "term|path",
        "reference",
        "The reference in the denominator gets no gradient.",
    ),
    Twin(
        "length of the prediction",
        "swap|operand|ratio|residual",
        "predicted reference",
        "The error is divided by the length of the prediction.",
    ),
    Twin(
        "one length for the batch",
        "sum|operand|ratio",
        "predicted reference",
        "The error's length is taken over the batch instead of each signal.",
    ),
)
def spectral_convergence(slip):
    def length(x, axes=(1, 2)):
        return jnp.sqrt((x * x).sum(axes, keepdims=True) + 1e-7)

    @jax.custom_vjp
    def loss(predicted, reference):
        return (length(predicted - reference) / length(reference)).mean()

    def fwd(predicted, reference):
        return loss.fun(predicted, reference), (predicted, reference)

    def bwd(res, g):
        predicted, reference = res
        gap = predicted - reference
        g = g / len(gap)
        axes = (0, 1, 2) if slip == "one length for the batch" else (1, 2)
        top = length(gap, axes)
        swapped = slip == "length of the prediction"
        bottom = length(predicted if swapped else reference)
        d = g * gap / (top * bottom)
        dreference = -d
        if slip != "reference's length constant":
            dreference = dreference - g * top * reference / bottom**3
        return d, dreference

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "SmeLU of google-research's smooth activations, its width learned by channel",
    "activation with a learned width",
    draw(x=(7, 4), log_width=(4,)),
    Twin(
        "half of the parabola",
        "factor|ratio",
        "x",
        "The square's factor of two is missing in the middle part.",
    ),
    Twin(
        "width outside",
        "mask|region",
        "log_width",
        "The width gets a gradient from the straight parts.",
    ),
    Twin(
        "inner width only",
        "term|path",
        "log_width",
        "The width in the denominator is taken as a constant.",
    ),
)
def smooth_relu(slip):
    def pieces(x, log_width):
        width = jnp.exp(log_width)
        return width, x >= width, x <= -width

    @jax.custom_vjp
    def act(x, log_width):
        width, above, below = pieces(x, log_width)
        u = jnp.where(above | below, 0, x) / width
        return jnp.where(above, x, jnp.where(below, 0, width * (u + 1) ** 2 / 4))

    def fwd(x, log_width):
        return act.fun(x, log_width), (x, log_width)

    def bwd(res, g):
        x, log_width = res
        width, above, below = pieces(x, log_width)
        u = jnp.where(above | below, 0, x) / width
        middle = (u + 1) / (4 if slip == "half of the parabola" else 2)
        dx = g * jnp.where(above, 1, jnp.where(below, 0, middle))
        grow = (1 + u) / 2 if slip == "inner width only" else (1 - u) * (1 + u) / 4
        if slip != "width outside":
            grow = jnp.where(above | below, 0, grow)
        return dx, (g * width * grow).sum(0)

    act.defvjp(fwd, bwd)
    return act, act.fun
