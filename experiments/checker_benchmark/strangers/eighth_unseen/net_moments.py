"""Steps of optimisers, differentiated as learned optimisers and meta-gradients are."""

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


def factored_state(rng, clip=1.0):
    param, grad = normal(rng, 4, 3), normal(rng, 4, 3, std=0.5)
    return param, grad, positive(rng, 4), positive(rng, 3), 0.1, 0.9, clip


@case(
    "Adafactor in optax and T5X",
    "optimiser's step with factored moments",
    factored_state,
    Twin("moments are constant", "term|path", "grad", "grad's part is left out."),
    Twin(
        "mean of the rows",
        "term",
        "row grad",
        "The division by the mean of the rows' moments is not differentiated.",
    ),
    Twin(
        "clipped update",
        "term|mask|path",
        "grad row col",
        "The update's root mean square, by which it is clipped, counts as constant.",
        witness=lambda rng: factored_state(rng, 0.2),
    ),
    fixed=(2, 3),
)
def adafactor_step(slip):
    def moments(grad, row, col, decay):
        power = grad * grad + 1e-6
        row = decay * row + (1 - decay) * power.mean(1)
        return row, decay * col + (1 - decay) * power.mean(0)

    def update(grad, row, col, clip):
        u = grad * jax.lax.rsqrt(row[:, None] * col / row.mean() + 1e-8)
        size = jnp.sqrt((u * u).mean() + 1e-8)
        return u, size, jnp.maximum(1.0, size / clip)

    def plain(param, grad, row, col, rate, decay, clip):
        row, col = moments(grad, row, col, decay)
        u, _, down = update(grad, row, col, clip)
        return param - rate * u / down, row, col

    step = jax.custom_vjp(plain, nondiff_argnums=(4, 5, 6))

    def fwd(param, grad, row, col, rate, decay, clip):
        row, col = moments(grad, row, col, decay)
        u, size, down = update(grad, row, col, clip)
        return (param - rate * u / down, row, col), (grad, row, col, u, size, down)

    def bwd(rate, decay, clip, res, g):
        grad, row, col, u, size, down = res
        dparam, drow, dcol = g
        dv = -rate * dparam
        du = dv / down
        if slip != "clipped update":
            ddown = -(dv * u).sum() / down**2
            dsize = jnp.where(size > clip, ddown / clip, 0)
            du = du + dsize * u / (size * u.size)
        mean = row.mean()
        outer = row[:, None] * col / mean
        root = jax.lax.rsqrt(outer + 1e-8)
        douter = -0.5 * du * grad * root**3
        drow = drow + (douter * col).sum(1) / mean
        dcol = dcol + (douter * row[:, None]).sum(0) / mean
        if slip != "mean of the rows":
            drow = drow - (douter * outer).sum() / mean / row.size
        dgrad = du * root
        if slip != "moments are constant":
            dpower = drow[:, None] / grad.shape[1] + dcol / grad.shape[0]
            dgrad = dgrad + 2 * (1 - decay) * grad * dpower
        return dparam, dgrad, decay * drow, decay * dcol

    step.defvjp(fwd, bwd)
    return step, plain


def lamb_state(rng):
    def tree(make):
        return {"w": make(4, 3), "b": make(5)}

    params = tree(lambda *s: normal(rng, *s))
    grads = tree(lambda *s: normal(rng, *s, std=0.5))
    first = tree(lambda *s: normal(rng, *s, std=0.2))
    second = tree(lambda *s: positive(rng, *s, low=0.1, high=0.6))
    return params, grads, (first, second), jnp.int32(4), 0.1, 0.05


@case(
    "LAMB in optax (scale_by_trust_ratio)",
    "optimiser's step with pytrees",
    lamb_state,
    Twin(
        "trust ratio is constant",
        "term|path",
        "params grads state",
        "The ratio of the norms is not differentiated.",
    ),
    Twin("decay of the weights", "term|path", "params", "It counts as constant."),
    Twin(
        "correction of the other moment",
        "factor|swap|ratio",
        "grads state",
        "The first moment's bias correction is taken with the second's decay.",
    ),
    fixed=(2,),
)
def lamb_step(slip):
    b1, b2 = 0.9, 0.99

    def direction(p, grad, m, v, count, decay):
        m = b1 * m + (1 - b1) * grad
        v = b2 * v + (1 - b2) * grad * grad
        root = jnp.sqrt(v / (1 - b2 ** (count + 1.0)) + 1e-8)
        return m / (1 - b1 ** (count + 1.0)) / root + decay * p, m, root

    def norms(p, u):
        squares = [(x * x).sum() for x in (p, u)]
        live = (squares[0] > 0) & (squares[1] > 0)
        return live, *(jnp.sqrt(jnp.where(live, s, 1)) for s in squares)

    def leaf(p, grad, m, v, count, rate, decay):
        u, *_ = direction(p, grad, m, v, count, decay)
        _, whole, size = norms(p, u)
        return p - rate * whole / size * u

    def plain(params, grads, state, count, rate, decay):
        def one(p, grad, m, v):
            return leaf(p, grad, m, v, count, rate, decay)

        return jax.tree.map(one, params, grads, *state)

    step = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(params, grads, state, count, rate, decay):
        value = plain(params, grads, state, count, rate, decay)
        return value, (params, grads, state, count)

    def pull(p, grad, m, v, dp, count, rate, decay):
        u, m, root = direction(p, grad, m, v, count, decay)
        live, whole, size = norms(p, u)
        dv = -rate * dp
        du = whole / size * dv
        if slip != "trust ratio is constant":
            inner = jnp.where(live, (dv * u).sum(), 0)
            dp = dp + inner / (size * whole) * p
            du = du - inner * whole / size**3 * u
        if slip != "decay of the weights":
            dp = dp + decay * du
        one, two = (1 - b ** (count + 1.0) for b in (b1, b2))
        dm = du / (two if slip == "correction of the other moment" else one) / root
        dsquare = -0.5 * du * m / one / root**3 / two
        dgrad = (1 - b1) * dm + 2 * (1 - b2) * grad * dsquare
        return [x.astype(p.dtype) for x in (dp, dgrad, b1 * dm, b2 * dsquare)]

    def bwd(rate, decay, res, g):
        params, grads, (first, second), count = res
        flat, shape = jax.tree.flatten(params)
        rest = [jax.tree.leaves(t) for t in (grads, first, second, g)]
        rows = zip(flat, *rest, strict=True)
        out = [pull(*row, count, rate, decay) for row in rows]
        dp, dg, dm, dv = (shape.unflatten(column) for column in zip(*out, strict=True))
        return dp, dg, (dm, dv), None

    step.defvjp(fwd, bwd)
    return step, plain


def delta_state(rng):
    param, grad = normal(rng, 6), normal(rng, 6)
    return param, grad, positive(rng, 6), positive(rng, 6, low=0.1), 0.9, 1e-4


@case(
    "ADADELTA in optax and torch_opt ports",
    "optimiser's step with three outputs",
    delta_state,
    Twin(
        "accumulator of the last step",
        "residual|operand",
        "grad square delta",
        "The accumulator is saved before it is updated.",
    ),
    Twin("updates remembered", "term|path", "grad square delta", "Not pulled back."),
    Twin(
        "root of the sum",
        "eps|function|factor",
        "delta",
        "The root of the updates is pulled back without its epsilon.",
        witness=lambda rng: (*delta_state(rng)[:3], positive(rng, 6) * 1e-5, 0.9, 1e-4),
    ),
    fixed=(2, 3),
)
def adadelta_step(slip):
    def plain(param, grad, square, delta, rho, eps):
        square = rho * square + (1 - rho) * grad * grad
        update = jnp.sqrt((delta + eps) / (square + eps)) * grad
        delta = rho * delta + (1 - rho) * update * update
        return param - update, square, delta

    step = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(param, grad, square, delta, rho, eps):
        new = plain(param, grad, square, delta, rho, eps)
        kept = square if slip == "accumulator of the last step" else new[1]
        return new, (grad, kept, delta)

    def bwd(rho, eps, res, g):
        grad, square, delta = res
        dparam, dsquare, ddelta = g
        ratio = jnp.sqrt((delta + eps) / (square + eps))
        du = -dparam
        if slip != "updates remembered":
            du = du + 2 * (1 - rho) * ddelta * ratio * grad
        dratio = du * grad
        dsquare = dsquare - 0.5 * dratio * ratio / (square + eps)
        low = delta if slip == "root of the sum" else delta + eps
        ddelta = rho * ddelta + 0.5 * dratio * ratio / low
        dgrad = du * ratio + 2 * (1 - rho) * grad * dsquare
        return dparam, dgrad, rho * dsquare, ddelta

    step.defvjp(fwd, bwd)
    return step, plain


def infinity_state(rng):
    param, grad, first = normal(rng, 7), normal(rng, 7), normal(rng, 7, std=0.3)
    return param, grad, first, positive(rng, 7, low=0.1, high=1.5), jnp.int32(2), 0.05


@case(
    "Adamax in optax",
    "optimiser's step with a maximum",
    infinity_state,
    Twin(
        "branches of the maximum",
        "swap|mask|predicate",
        "grad norm",
        "The gradient goes to the smaller of the two.",
    ),
    Twin("sign of the gradient", "sign", "grad", "sign(grad) is left out."),
    Twin("bias correction", "factor|ratio|term", "grad first norm", "It is left out."),
    fixed=(3,),
)
def adamax_step(slip):
    b1, b2 = 0.9, 0.95

    def moments(grad, first, norm):
        size = jnp.abs(grad) + 1e-6
        return b1 * first + (1 - b1) * grad, jnp.maximum(b2 * norm, size), size

    def plain(param, grad, first, norm, count, rate):
        m, n, _ = moments(grad, first, norm)
        rate = rate / (1 - b1 ** (count + 1.0))
        return (param - rate * m / n).astype(param.dtype), m, n

    step = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(param, grad, first, norm, count, rate):
        out = plain(param, grad, first, norm, count, rate)
        return out, (grad, first, norm, count)

    def bwd(rate, res, g):
        grad, first, norm, count = res
        m, n, size = moments(grad, first, norm)
        dparam, dm, dn = g
        if slip != "bias correction":
            rate = rate / (1 - b1 ** (count + 1.0))
        du = -rate * dparam
        dm, dn = dm + du / n, dn - du * m / (n * n)
        won = size > b2 * norm
        if slip == "branches of the maximum":
            won = ~won
        sign = 1 if slip == "sign of the gradient" else jnp.sign(grad)
        dgrad = (1 - b1) * dm + jnp.where(won, dn * sign, 0)
        dnorm = jnp.where(won, 0, b2 * dn)
        down = [d.astype(grad.dtype) for d in (dgrad, b1 * dm, dnorm)]
        return dparam, *down, None

    step.defvjp(fwd, bwd)
    return step, plain
