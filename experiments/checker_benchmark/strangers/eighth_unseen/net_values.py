"""Values: expectiles, atoms, rescaled targets and statistics that keep the outputs."""

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


@case(
    "expectile regression of implicit Q-learning, in CORL and jaxrl",
    "value loss",
    lambda rng: (normal(rng, 8), normal(rng, 8), positive(rng, 8), 0.8),
    Twin(
        "sides exchanged",
        "swap|predicate|sign|mask",
        "value target",
        "The backward weighs values that are too low as if they were too high.",
    ),
    Twin(
        "without the two",
        "factor|ratio",
        "value target",
        "The square's factor 2 is left out.",
    ),
    Twin(
        "weights of the plain square",
        "factor|option",
        "weights",
        "The weights' gradient is the square without the expectile's weight.",
    ),
)
def expectile_value_loss(slip):
    def side(d, tau):
        return jnp.where(d > 0, tau, 1 - tau)

    def plain(value, target, weights, tau):
        d = target - value
        return (weights * side(d, tau) * d * d).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(value, target, weights, tau):
        d = target - value
        return (weights * side(d, tau) * d * d).mean(), (d, weights)

    def bwd(tau, res, g):
        d, weights = res
        g = g / d.size
        turned = -d if slip == "sides exchanged" else d
        two = 1 if slip == "without the two" else 2
        dd = two * g * weights * side(turned, tau) * d
        weighed = slip != "weights of the plain square"
        dweights = g * d * d * (side(d, tau) if weighed else 1)
        return -dd, dd, dweights

    loss.defvjp(fwd, bwd)
    return loss, plain


def shifted_atoms(rng):
    probabilities = jax.nn.softmax(normal(rng, 3, 6))
    return normal(rng, 3, 6, std=1.5), probabilities, -2.0, 2.0, 9


@case(
    "categorical_l2_project of C51 in rlax and Dopamine",
    "projection of distributions",
    shifted_atoms,
    Twin(
        "atoms past the ends",
        "mask|edge|region",
        "atoms",
        "Atoms that are clipped to the support's ends have a gradient.",
    ),
    Twin(
        "both neighbours alike",
        "sign|mask",
        "atoms",
        "The neighbour above and the one below get the same sign.",
    ),
    Twin(
        "spacing of n",
        "factor|ratio",
        "atoms",
        "The spacing is the range over n, not over n - 1.",
    ),
    narrow=False,
)
def categorical_l2_projection(slip):
    def places(atoms, low, high, n):
        inner = (atoms > low) & (atoms < high)
        z = jnp.where(inner, atoms, jnp.where(atoms >= high, high, low))
        gap = (high - low) / (n - 1)
        return (z[..., None] - low) / gap - jnp.arange(n), inner, gap

    def hats(away):
        size = jnp.abs(away)
        return jnp.where(size < 1, 1 - size, 0)

    def plain(atoms, probabilities, low, high, n):
        away, *_ = places(atoms, low, high, n)
        return jnp.einsum("ba,ban->bn", probabilities, hats(away))

    project = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(atoms, probabilities, low, high, n):
        value = plain(atoms, probabilities, low, high, n)
        return value, (atoms, probabilities)

    def bwd(low, high, n, res, g):
        atoms, probabilities = res
        away, inner, gap = places(atoms, low, high, n)
        slope = jnp.where(jnp.abs(away) < 1, -jnp.sign(away), 0)
        if slip == "both neighbours alike":
            slope = -jnp.abs(slope)
        if slip == "spacing of n":
            gap = gap * (n - 1) / n
        if slip == "atoms past the ends":
            inner = jnp.ones_like(inner)
            slope = -jnp.sign(away) * (jnp.abs(away) <= 1)
        datoms = probabilities * jnp.einsum("bn,ban->ba", g, slope) / gap
        return jnp.where(inner, datoms, 0), jnp.einsum("bn,ban->ba", g, hats(away))

    project.defvjp(fwd, bwd)
    return project, plain


def bootstrapped(rng):
    q, rewards = draw(q=(6,), rewards=(6,))(rng)
    return 3 * q, rewards, positive(rng, 6, low=0.6, high=1.0), 0.05


@case(
    "value rescaling of R2D2, signed_hyperbolic and signed_parabolic in rlax",
    "target with a rescaled value",
    bootstrapped,
    Twin(
        "slope at the value",
        "operand|function|factor",
        "q",
        "The inverse's slope is 1/h' at q, not at h's inverse of q.",
    ),
    Twin(
        "negative values",
        "sign",
        "q",
        "Below zero the inverse's slope has the sign of the value.",
    ),
    Twin(
        "linear part",
        "eps|option|term",
        "q rewards discount",
        "The slope of h leaves out its small linear part.",
    ),
    narrow=False,
)
def value_rescale(slip):
    def squeeze(x, eps):
        return x / (jnp.sqrt(jnp.abs(x) + 1) + 1) + eps * x

    def slope(x, eps):
        return 0.5 / jnp.sqrt(jnp.abs(x) + 1) + eps

    def parabola(x, eps):
        sign = jnp.where(x >= 0, 1, -1)
        root = jnp.sqrt(1 + 4 * eps * (sign * x + 1 + eps))
        a = (root - 1) / (2 * eps)
        return sign * (a * a - 1), 2 * a / root, sign

    def plain(q, rewards, discount, eps):
        return squeeze(rewards + discount * parabola(q, eps)[0], eps)

    target = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, rewards, discount, eps):
        return plain(q, rewards, discount, eps), (q, rewards, discount)

    def bwd(eps, res, g):
        q, rewards, discount = res
        value, stretch, sign = parabola(q, eps)
        at = rewards + discount * value
        dr = g * (slope(at, 0 if slip == "linear part" else eps))
        if slip == "slope at the value":
            stretch = 1 / slope(q, eps)
        if slip == "negative values":
            stretch = stretch * sign
        return dr * discount * stretch, dr, dr * value

    target.defvjp(fwd, bwd)
    return target, plain


def value_head(rng):
    weight, bias, targets = draw(weight=(5,), bias=(), targets=(6,))(rng)
    return weight, bias, (jnp.float32(0.4), jnp.float32(2.3)), 2 * targets, 0.1


@case(
    "PopArt in rlax",
    "normalised value head with several outputs",
    value_head,
    Twin(
        "old deviation at the new mean",
        "residual|operand",
        "moments",
        "The old deviation is pulled back at the mean after the update.",
    ),
    Twin(
        "shift of the bias",
        "term|path",
        "moments targets",
        "The bias does not pull on the new mean.",
    ),
    Twin(
        "second moment's two",
        "factor",
        "targets",
        "The targets' square is pulled back without its 2.",
    ),
    fixed=(2,),
    narrow=False,
)
def popart_normalise(slip):
    def deviation(mean, square):
        spread = square - mean * mean
        return jnp.sqrt(jnp.where(spread > 1e-3, spread, 1e-3)), spread > 1e-3

    def updated(moments, targets, rate):
        now = (targets.mean(), (targets * targets).mean())
        return tuple(
            (1 - rate) * a + rate * b for a, b in zip(moments, now, strict=True)
        )

    def plain(weight, bias, moments, targets, rate):
        new = updated(moments, targets, rate)
        before, after = deviation(*moments)[0], deviation(*new)[0]
        bias = (before * bias + moments[0] - new[0]) / after
        return weight * before / after, bias, new

    head = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(weight, bias, moments, targets, rate):
        out = plain(weight, bias, moments, targets, rate)
        return out, (weight, bias, moments, targets, out)

    def bwd(rate, res, g):
        weight, bias, moments, targets, (new_weight, new_bias, new) = res
        dw, db, (dmean, dsquare) = g
        (before, wide), (after, new_wide) = deviation(*moments), deviation(*new)
        dbefore = ((dw * weight).sum() + db * bias) / after
        dafter = -((dw * new_weight).sum() + db * new_bias) / after
        if slip != "shift of the bias":
            dmean = dmean - db / after
        dnew = jnp.where(new_wide, 0.5 * dafter / after, 0)
        dold = jnp.where(wide, 0.5 * dbefore / before, 0)
        dmean, dsquare = dmean - 2 * new[0] * dnew, dsquare + dnew
        two = 1 if slip == "second moment's two" else 2
        dtargets = rate * (dmean + two * targets * dsquare) / len(targets)
        mean = new[0] if slip == "old deviation at the new mean" else moments[0]
        first = (1 - rate) * dmean + db / after - 2 * mean * dold
        scale = before / after
        return dw * scale, db * scale, (first, (1 - rate) * dsquare + dold), dtargets

    head.defvjp(fwd, bwd)
    return head, plain
