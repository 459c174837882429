"""Pooling by clusters, distillation of views, adapters of shared matrices."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def clustered(rng):
    return normal(rng, 2, 6, 4), normal(rng, 4, 3), jnp.zeros(3), normal(rng, 3, 4)


@case(
    "NetVLAD pooling of place recognition, ported to flax: residuals to soft clusters",
    "pooling",
    clustered,
    Twin(
        "centres",
        "sign",
        "centres",
        "The centres are subtracted, and are pulled back as if they were added.",
    ),
    Twin(
        "assignments",
        "term|path",
        "x",
        "The descriptors are reached through the residuals, not the assignments.",
    ),
    Twin(
        "norm within a cluster",
        "term|path|operand",
        "x centres weights bias",
        "The lengths within clusters are held constant.",
    ),
)
def netvlad_pool(slip):
    def unit(v, axes):
        square = (v * v).sum(axes, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.maximum(square, 1e-12))
        return v * inverse, inverse, square > 1e-12

    def pull_unit(v, g, axes):
        n, inverse, long = unit(v, axes)
        return inverse * (g - n * jnp.where(long, (n * g).sum(axes, keepdims=True), 0))

    def residuals(x, weights, bias, centres):
        shares = jax.nn.softmax(x @ weights + bias)
        far = x[:, :, None] - centres
        return shares, far, jnp.einsum("bnk,bnkd->bkd", shares, far)

    @jax.custom_vjp
    def pool(x, weights, bias, centres):
        within = unit(residuals(x, weights, bias, centres)[-1], (2,))[0]
        return unit(within, (1, 2))[0].reshape(len(x), -1)

    def fwd(x, weights, bias, centres):
        return pool.fun(x, weights, bias, centres), (x, weights, bias, centres)

    def bwd(res, g):
        x, weights, *_ = res
        shares, far, sums = residuals(*res)
        within, inverse, _ = unit(sums, (2,))
        dwithin = pull_unit(within, g.reshape(within.shape), (1, 2))
        if slip == "norm within a cluster":
            dsums = inverse * dwithin
        else:
            dsums = pull_unit(sums, dwithin, (2,))
        dshares = jnp.einsum("bkd,bnkd->bnk", dsums, far)
        ds = shares * (dshares - (shares * dshares).sum(-1, keepdims=True))
        dx = jnp.einsum("bnk,bkd->bnd", shares, dsums)
        if slip != "assignments":
            dx = dx + ds @ weights.T
        dcentres = jnp.einsum("bnk,bkd->kd", shares, dsums)
        if slip != "centres":
            dcentres = -dcentres
        dweights = jnp.einsum("bnd,bnk->dk", x, ds)
        return dx, dweights, ds.sum((0, 1)), dcentres

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def views(rng):
    return normal(rng, 4, 3, 6), normal(rng, 2, 3, 6), jnp.zeros(6), 0.1, 0.04


@case(
    "DINO's loss in scenic: views of the student against other views of the teacher",
    "loss",
    views,
    Twin(
        "same view",
        "term|mask|region|predicate",
        "student",
        "Pairs of a view with itself, which are skipped, are pulled back as well.",
    ),
    Twin(
        "temperature",
        "ratio|factor|option",
        "student",
        "The gradient is divided by the teacher's temperature.",
    ),
    Twin(
        "count of the pairs",
        "ratio|factor|constant",
        "student",
        "The gradient is averaged over all pairs, with those that are skipped.",
    ),
    options=lambda plain: {"nondiff": ("teacher", "centre")},
    scales=(0.1, 1.0, 3.0),
)
def dino_loss(slip):
    def targets(teacher, centre, temperature):
        return jax.nn.softmax((teacher - centre) / temperature)

    def pairs(student, teacher):
        return 1 - jnp.eye(len(student), len(teacher), dtype=student.dtype)

    def plain(student, teacher, centre, student_t, teacher_t):
        q = targets(teacher, centre, teacher_t)
        logs = jax.nn.log_softmax(student / student_t)
        each = -jnp.einsum("snk,tnk->stn", logs, q).mean(-1)
        used = pairs(student, teacher)
        return (used * each).sum() / used.sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(student, teacher, centre, student_t, teacher_t):
        out = plain(student, teacher, centre, student_t, teacher_t)
        return out, (student, teacher, centre)

    def bwd(student_t, teacher_t, res, g):
        student, teacher, centre = res
        q = targets(teacher, centre, teacher_t)
        p = jax.nn.softmax(student / student_t)
        used = pairs(student, teacher)
        count = used.size if slip == "count of the pairs" else used.sum()
        if slip == "same view":
            used = jnp.ones_like(used)
        gaps = used.sum(1)[:, None, None] * p - jnp.einsum("st,tnk->snk", used, q)
        across = teacher_t if slip == "temperature" else student_t
        ds = g * gaps / (across * count * student.shape[1])
        return ds, jnp.zeros_like(teacher), jnp.zeros_like(centre)

    loss.defvjp(fwd, bwd)
    return loss, plain


def shared(b):
    def args(rng):
        frozen = {
            "w": normal(rng, 5, 4, std=0.4),
            "a": normal(rng, 5, 3, std=0.4),
            "b": normal(rng, 3, 4, std=0.4),
        }
        params = {"d": jnp.full(3, 0.1), "b": jnp.full(4, b, jnp.float32)}
        return normal(rng, 6, 5), frozen, params

    return args


@case(
    "vector-based adapters (VeRA) of peft in JAX trainers: random matrices are shared",
    "low-rank adapter",
    shared(0.0),
    Twin(
        "inner vector",
        "operand|residual|term|factor",
        "params",
        "The inner vector's gradient lacks the outer vector that follows it.",
    ),
    Twin(
        "input of the adapter",
        "term|path",
        "x",
        "The input is reached through the frozen weights only.",
        witness=shared(0.3),
    ),
    options=lambda plain: {"nondiff": ("frozen",)},
)
def vera_dense(slip):
    @jax.custom_vjp
    def dense(x, frozen, params):
        inner = x @ frozen["a"] * params["d"]
        return x @ frozen["w"] + inner @ frozen["b"] * params["b"]

    def fwd(x, frozen, params):
        return dense.fun(x, frozen, params), (x, frozen, params)

    def bwd(res, g):
        x, frozen, params = res
        low = x @ frozen["a"]
        scaled = g if slip == "inner vector" else g * params["b"]
        dinner = scaled @ frozen["b"].T
        grads = {
            "d": (low * dinner).sum(0),
            "b": (g * ((low * params["d"]) @ frozen["b"])).sum(0),
        }
        dx = g @ frozen["w"].T
        if slip != "input of the adapter":
            through = (g * params["b"]) @ frozen["b"].T * params["d"]
            dx = dx + through @ frozen["a"].T
        return dx, jax.tree.map(jnp.zeros_like, frozen), grads

    dense.defvjp(fwd, bwd)
    return dense, dense.fun
