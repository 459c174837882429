"""Transforms of densities, projections, distances of samples, a robust location."""

import jax
import jax.numpy as jnp
from jax import lax

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
    "ScalarAffine with a bounded log-scale in distrax (coupling layers)",
    "transform with two outputs",
    draw(x=(4, 3), shift=(3,), raw=(3,)),
    Twin(
        "log-determinant once",
        "sum|cotangent|ratio|factor",
        "raw",
        "The log-determinant's cotangents are averaged over the batch.",
    ),
    Twin(
        "bound",
        "function|factor|term",
        "raw",
        "The tanh that bounds the log-scale is not differentiated.",
    ),
)
def affine_bijector(slip):
    bound = 1.5

    def plain(x, shift, raw):
        log_scale = bound * jnp.tanh(raw / bound)
        logdet = jnp.broadcast_to(log_scale.sum(), x.shape[:-1])
        return x * jnp.exp(log_scale) + shift, logdet

    forward = jax.custom_vjp(plain)

    def fwd(x, shift, raw):
        return plain(x, shift, raw), (x, raw)

    def bwd(res, g):
        x, raw = res
        dy, dlogdet = g
        t = jnp.tanh(raw / bound)
        scale = jnp.exp(bound * t)
        whole = dlogdet.mean() if slip == "log-determinant once" else dlogdet.sum()
        dlog = (dy * x * scale).sum(0) + whole
        dpre = dlog if slip == "bound" else dlog * (1 - t * t)
        return dy * scale, dy.sum(0), dpre

    forward.defvjp(fwd, bwd)
    return forward, plain


@case(
    "radial flow (Rezende and Mohamed) in flows written for numpyro",
    "transform with two outputs",
    draw(x=(4, 3), centre=(3,), raw_alpha=(), raw_beta=()),
    Twin(
        "constraint",
        "term",
        "raw_alpha",
        "alpha's part in beta = -alpha + softplus is forgotten.",
    ),
    Twin(
        "dimensions",
        "factor|term",
        "x centre raw_alpha raw_beta",
        "The d - 1 directions across count as d in the backward.",
    ),
)
def radial_flow(slip):
    def pieces(x, centre, raw_alpha, raw_beta):
        alpha = jax.nn.softplus(raw_alpha)
        off = x - centre
        far = jnp.sqrt((off**2).sum(-1))
        return alpha, jax.nn.softplus(raw_beta) - alpha, off, far, 1 / (alpha + far)

    def plain(x, centre, raw_alpha, raw_beta):
        alpha, beta, off, _, h = pieces(x, centre, raw_alpha, raw_beta)
        across = jnp.log1p(beta * h) * (x.shape[-1] - 1)
        return x + (beta * h)[:, None] * off, across + jnp.log1p(alpha * beta * h * h)

    flow = jax.custom_vjp(plain)

    def fwd(*args):
        return plain(*args), args

    def bwd(args, g):
        dy, dlogdet = g
        alpha, beta, off, far, h = pieces(*args)
        across = off.shape[-1] - (0 if slip == "dimensions" else 1)
        da = across * dlogdet / (1 + beta * h)
        db = dlogdet / (1 + alpha * beta * h * h)
        along = (dy * off).sum(-1)
        dbeta = h * (da + alpha * h * db + along)
        dh = beta * (da + 2 * alpha * h * db + along)
        dalpha = beta * h * h * db - h * h * dh
        if slip != "constraint":
            dalpha = dalpha - dbeta
        doff = dy * (beta * h)[:, None] - (h * h * dh / far)[:, None] * off
        slopes = jax.nn.sigmoid(args[2]), jax.nn.sigmoid(args[3])
        return (
            dy + doff,
            -doff.sum(0),
            slopes[0] * dalpha.sum(),
            slopes[1] * dbeta.sum(),
        )

    flow.defvjp(fwd, bwd)
    return flow, plain


def bounded(both):
    def args(rng):
        x, low, high = normal(rng, 4, 3), positive(rng, 3, low=0.2), positive(rng, 3)
        return x, {"low": -low, "high": 0.5 * high if both else None}

    return args


@case(
    "projection_box of jaxopt, where a bound may be absent",
    "projection",
    bounded(False),
    Twin(
        "last row's bounds",
        "sum|duplicates|index",
        "bounds",
        "The bounds are shared by the rows: only one row's gradient is kept.",
    ),
    Twin(
        "upper bound passes",
        "mask",
        "x",
        "Above the upper bound x still has its gradient.",
        witness=bounded(True),
    ),
)
def box_projection(slip):
    def outside(x, bounds):
        below = jnp.zeros(x.shape, bool)
        above = jnp.zeros(x.shape, bool)
        if bounds["low"] is not None:
            below = x < bounds["low"]
        if bounds["high"] is not None:
            above = (x > bounds["high"]) & ~below
        return below, above

    def plain(x, bounds):
        below, above = outside(x, bounds)
        out = x
        if bounds["low"] is not None:
            out = jnp.where(below, bounds["low"], out)
        if bounds["high"] is not None:
            out = jnp.where(above, bounds["high"], out)
        return out

    project = jax.custom_vjp(plain)

    def fwd(x, bounds):
        return plain(x, bounds), (x, bounds)

    def bwd(res, g):
        x, bounds = res
        below, above = outside(x, bounds)
        dbounds = {"low": None, "high": None}
        for name, hit in (("low", below), ("high", above)):
            if bounds[name] is not None:
                share = jnp.where(hit, g, 0)
                last = slip == "last row's bounds"
                dbounds[name] = share[-1] if last else share.sum(0)
        stopped = below if slip == "upper bound passes" else below | above
        return jnp.where(stopped, 0, g), dbounds

    project.defvjp(fwd, bwd)
    return project, plain


@case(
    "one-dimensional Wasserstein distance of samples of unequal sizes in ott-jax",
    "optimal transport",
    lambda rng: (normal(rng, 4), normal(rng, 6), 2),
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "x y",
        "Of the pieces of mass of a point one counts.",
    ),
    Twin(
        "cost of the first power",
        "option|function|factor",
        "x y",
        "The gradient is that of |x - y|, whatever the power.",
    ),
)
def wasserstein_1d(slip):
    def pairs(x, y):
        i, j = jnp.argsort(x), jnp.argsort(y)
        return jnp.repeat(i, len(y)), jnp.repeat(j, len(x))

    def plain(x, y, power):
        i, j = pairs(x, y)
        return (jnp.abs(x[i] - y[j]) ** power).mean()

    distance = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, power):
        return plain(x, y, power), (x, y)

    def bwd(power, res, g):
        x, y = res
        i, j = pairs(x, y)
        gap = x[i] - y[j]
        if slip == "cost of the first power":
            power = 1
        pull = power * jnp.sign(gap) * jnp.abs(gap) ** (power - 1) * g / len(i)

        def gather(at, pull):
            return at.set(pull) if slip == "last one wins" else at.add(pull)

        dx = gather(jnp.zeros_like(x).at[i], pull)
        return dx, gather(jnp.zeros_like(y).at[j], -pull)

    distance.defvjp(fwd, bwd)
    return distance, plain


@case(
    "Huber's location (RLM of statsmodels) by reweighting, as ported to JAX",
    "implicit solution",
    lambda rng: (normal(rng, 9, std=0.3).at[:2].add(15.0), jnp.float32(0.6)),
    Twin(
        "weights for slopes",
        "function|mask|factor",
        "x",
        "The weights of the last step are the gradient: outliers have one.",
    ),
    Twin(
        "scale",
        "zero|term",
        "scale",
        "The scale, which says who is an outlier, has no gradient.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(0.1, 1.0),
)
def huber_location(slip):
    knee = 1.345

    def weights(x, scale, m):
        return knee / jnp.maximum(jnp.abs(x - m) / scale, knee)

    def plain(x, scale):
        def step(_, m):
            w = weights(x, scale, m)
            return w @ x / w.sum()

        return lax.fori_loop(0, 200, step, x.mean())

    locate = jax.custom_vjp(plain)

    def fwd(x, scale):
        m = plain(x, scale)
        return m, (x, scale, m)

    def bwd(res, g):
        x, scale, m = res
        r = (x - m) / scale
        slope = (jnp.abs(r) < knee).astype(g.dtype)
        if slip == "weights for slopes":
            slope = weights(x, scale, m)
        u = g / slope.sum()
        inside = jnp.where(jnp.abs(r) < knee, r, 0)
        dscale = -u * inside.sum()
        return u * slope, jnp.zeros_like(dscale) if slip == "scale" else dscale

    locate.defvjp(fwd, bwd)
    return locate, plain
