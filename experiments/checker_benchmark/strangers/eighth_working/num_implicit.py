"""A fixed point, a filter, a kernel with a change and two everyday ones."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "mean-field magnetisations by iteration in graphical-model and Ising toolboxes",
    "fixed point",
    draw(coupling=(4, 4), field=(3, 4)),
    Twin(
        "one step",
        "term|path|function",
        "coupling field",
        "The cotangent is pulled through one iteration, not the fixed point.",
    ),
    Twin(
        "coupling not turned",
        "transpose|operand",
        "coupling field",
        "The adjoint system has the couplings, not their transpose.",
    ),
    Twin(
        "norm of the couplings",
        "term|path",
        "coupling",
        "The couplings' norm, by which they are divided, is a constant.",
    ),
    narrow=False,
)
def mean_field_ising(slip):
    def contracted(coupling):
        length = jnp.sqrt((coupling**2).sum() + 1e-6)
        return length, 0.6 * coupling / (1 + length)

    def solve(coupling, field):
        w = contracted(coupling)[1]

        def body(_, m):
            return jnp.tanh(m @ w.T + field)

        return lax.fori_loop(0, 80, body, jnp.zeros_like(field))

    magnetisation = jax.custom_vjp(solve)

    def fwd(coupling, field):
        m = solve(coupling, field)
        return m, (coupling, m)

    def bwd(res, g):
        coupling, m = res
        length, w = contracted(coupling)
        slope = 1 - m * m

        def adjoint(up, slope):
            turned = w if slip == "coupling not turned" else w.T
            return jnp.linalg.solve(jnp.eye(len(w)) - turned * slope, up)

        if slip != "one step":
            g = jax.vmap(adjoint)(g, slope)
        dfield = g * slope
        dw = dfield.T @ m
        dcoupling = 0.6 * dw / (1 + length)
        if slip != "norm of the couplings":
            share = 0.6 * (dw * coupling).sum() / (1 + length) ** 2
            dcoupling = dcoupling - share * coupling / length
        return dcoupling, dfield

    magnetisation.defvjp(fwd, bwd)
    return magnetisation, solve


@case(
    "filtered posteriors of a hidden Markov model in dynamax",
    "hidden Markov model",
    draw(start=(3,), logits=(3, 3), scores=(5, 3)),
    Twin(
        "normalised posterior",
        "term|path",
        "start logits scores",
        "The normalisation of each posterior is not pulled back.",
    ),
    Twin(
        "transitions not turned",
        "transpose",
        "start logits scores",
        "The cotangent goes back along the transposed transitions.",
    ),
    Twin(
        "later posterior",
        "residual|index|operand",
        "logits",
        "The transitions' gradient takes the posterior after the step.",
    ),
    narrow=False,
)
def hmm_forward_filter(slip):
    tiny = 1e-30

    def update(expected, score):
        return jax.nn.softmax(score + jnp.log(expected + tiny))

    @jax.custom_vjp
    def posteriors(start, logits, scores):
        moves = jax.nn.softmax(logits)

        def body(expected, score):
            now = update(expected, score)
            return now @ moves, now

        return lax.scan(body, jax.nn.softmax(start), scores)[1]

    def fwd(start, logits, scores):
        out = posteriors.fun(start, logits, scores)
        return out, (start, logits, out)

    def pull_softmax(p, up):
        return p * (up - (p * up).sum(-1, keepdims=True))

    def bwd(res, g):
        start, logits, out = res
        first, moves = jax.nn.softmax(start), jax.nn.softmax(logits)
        before = jnp.concatenate([first[None], (out @ moves)[:-1]])

        def body(carry, at):
            dexpected, dmoves = carry
            now, later, expected, up = at
            taken = later if slip == "later posterior" else now
            dmoves += jnp.outer(taken, dexpected)
            back = moves.T if slip == "transitions not turned" else moves
            up = up + back @ dexpected
            if slip == "normalised posterior":
                dscore = now * up
            else:
                dscore = pull_softmax(now, up)
            return (dscore / (expected + tiny), dmoves), dscore

        after = jnp.concatenate([out[1:], out[-1:]])
        carry = (jnp.zeros_like(start), jnp.zeros_like(logits))
        at = (out, after, before, g)
        (dfirst, dmoves), dscores = lax.scan(body, carry, at, reverse=True)
        return pull_softmax(first, dfirst), pull_softmax(moves, dmoves), dscores

    posteriors.defvjp(fwd, bwd)
    return posteriors, posteriors.fun


def two_regimes(rng):
    params = {"place": normal(rng), "steep": normal(rng), "lengths": normal(rng, 2)}
    return normal(rng, 5), normal(rng, 4), params


@case(
    "change-point kernel in GPflow and its ports",
    "kernel matrix with a pytree",
    two_regimes,
    Twin(
        "switch of the second",
        "term|path",
        "params x2",
        "The switch at the second points is not pulled back.",
    ),
    Twin(
        "second regime rises",
        "sign",
        "params x1 x2",
        "The second regime is taken to be switched on, too.",
    ),
    Twin(
        "steepness",
        "factor|ratio|operand",
        "x1 x2",
        "The switch's slope in the points lacks its steepness.",
    ),
    narrow=False,
    fixed=(2,),
)
def changepoint_kernel(slip):
    def pieces(x1, x2, params):
        s1, s2 = (
            jax.nn.sigmoid(params["steep"] * (x - params["place"])) for x in (x1, x2)
        )
        lag = x1[:, None] - x2[None]
        inverse = jnp.exp(-2 * params["lengths"])
        first, second = jnp.exp(-0.5 * lag**2 * inverse[:, None, None])
        return s1, s2, lag, inverse, first, second

    @jax.custom_vjp
    def kernel(x1, x2, params):
        s1, s2, _, _, first, second = pieces(x1, x2, params)
        return jnp.outer(s1, s2) * first + jnp.outer(1 - s1, 1 - s2) * second

    def fwd(x1, x2, params):
        return kernel.fun(x1, x2, params), (x1, x2, params)

    def bwd(res, g):
        x1, x2, params = res
        s1, s2, lag, inverse, first, second = pieces(x1, x2, params)
        up = g * first, g * second
        side = 1 if slip == "second regime rises" else -1
        ds1 = up[0] @ s2 + side * up[1] @ (1 - s2)
        ds2 = up[0].T @ s1 + side * up[1].T @ (1 - s1)
        if slip == "switch of the second":
            ds2 = jnp.zeros_like(ds2)
        du1, du2 = ds1 * s1 * (1 - s1), ds2 * s2 * (1 - s2)
        parts = up[0] * jnp.outer(s1, s2), up[1] * jnp.outer(1 - s1, 1 - s2)
        dlag = -lag * (parts[0] * inverse[0] + parts[1] * inverse[1])
        steep, place = params["steep"], params["place"]
        own = 1 if slip == "steepness" else steep
        square = jnp.stack([(part * lag**2).sum() for part in parts])
        dparams = {
            "place": -steep * (du1.sum() + du2.sum()),
            "steep": du1 @ (x1 - place) + du2 @ (x2 - place),
            "lengths": square * inverse,
        }
        return dlag.sum(1) + own * du1, own * du2 - dlag.sum(0), dparams

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


def ratings(rng):
    target = rng.dirichlet(np.ones(5), size=4)
    return normal(rng, 4, 5), jnp.asarray(target, jnp.float32)


@case(
    "earth mover's loss of ordered ratings (NIMA) in image-quality toolboxes",
    "loss",
    ratings,
    Twin(
        "sum from the left",
        "transpose|index|swap",
        "logits target",
        "The cumulative sum is pulled back by a cumulative sum.",
    ),
    Twin(
        "root's denominator",
        "factor|term|operand",
        "logits target",
        "The gradient is the mean square's, not its root's.",
    ),
    Twin(
        "inner sum of the softmax",
        "term|path",
        "logits",
        "The softmax's normalisation is not pulled back.",
    ),
)
def emd_rating_loss(slip):
    def pieces(logits, target):
        p = jax.nn.softmax(logits)
        gap = jnp.cumsum(p - target, axis=1)
        return p, gap, jnp.sqrt((gap**2).mean(1, keepdims=True) + 1e-5)

    @jax.custom_vjp
    def loss(logits, target):
        return pieces(logits, target)[2].mean()

    def fwd(logits, target):
        return loss.fun(logits, target), (logits, target)

    def bwd(res, g):
        p, gap, root = pieces(*res)
        dgap = g * gap / gap.size
        if slip != "root's denominator":
            dgap = dgap / root
        if slip == "sum from the left":
            dp = jnp.cumsum(dgap, axis=1)
        else:
            dp = lax.cumsum(dgap, axis=1, reverse=True)
        inner = (p * dp).sum(1, keepdims=True)
        if slip == "inner sum of the softmax":
            inner = jnp.zeros_like(inner)
        return p * (dp - inner), -dp

    loss.defvjp(fwd, bwd)
    return loss, loss.fun
