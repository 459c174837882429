"""Normalisations, activations and gates."""

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


def images_to_switch(rng):
    params = {
        "gain": jnp.ones(4),
        "bias": jnp.zeros(4),
        "mean": jnp.ones(3),
        "var": jnp.ones(3),
    }
    return normal(rng, 3, 5, 4), params, 1e-5


@case(
    "switchable normalisation in flax ports: instance, layer and batch are weighed",
    "normalisation",
    images_to_switch,
    Twin(
        "variances by the means",
        "term|path",
        "x",
        "The layer's and the batch's variances miss the spread of the means.",
    ),
    Twin(
        "weights interchanged",
        "swap",
        "params",
        "The weights of means and of variances are given each other's gradients.",
    ),
    Twin(
        "softmax of the weights",
        "term|path|function",
        "params",
        "The weights of the variances are pulled back as if they had no softmax.",
    ),
)
def switchable_norm(slip):
    def statistics(x):
        """Of instances; from those, of the layer and of the batch."""
        mean = x.mean(1, keepdims=True)
        var = ((x - mean) ** 2).mean(1, keepdims=True)

        def pooled(axis):
            m = mean.mean(axis, keepdims=True)
            return m, (var + (mean - m) ** 2).mean(axis, keepdims=True)

        return (mean, *(pooled(a)[0] for a in (2, 0))), (
            var,
            *(pooled(a)[1] for a in (2, 0)),
        )

    def parts(x, params, eps):
        means, variances = statistics(x)
        a, b = jax.nn.softmax(params["mean"]), jax.nn.softmax(params["var"])
        mean = sum(w * m for w, m in zip(a, means, strict=True))
        var = sum(w * v for w, v in zip(b, variances, strict=True))
        inverse = jax.lax.rsqrt(var + eps)
        return means, variances, a, b, (x - mean) * inverse, inverse

    def plain(x, params, eps):
        return parts(x, params, eps)[-2] * params["gain"] + params["bias"]

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, params, eps):
        return plain(x, params, eps), (x, params)

    def bwd(eps, res, g):
        x, params = res
        means, variances, a, b, normed, inverse = parts(x, params, eps)
        dn = g * params["gain"]
        dmean = -(dn * inverse).sum(1, keepdims=True)
        dvar = -0.5 * (dn * normed).sum(1, keepdims=True) * inverse**2
        da = jnp.stack([(dmean * m).sum() for m in means])
        db = jnp.stack([(dvar * v).sum() for v in variances])
        dm, dv = a[0] * dmean, b[0] * dvar
        for k, axis in ((1, 2), (2, 0)):
            over = dvar.mean(axis, keepdims=True)
            dm = dm + a[k] * dmean.mean(axis, keepdims=True)
            if slip != "variances by the means":
                dm = dm + 2 * b[k] * over * (means[0] - means[k])
            dv = dv + b[k] * over
        dx = dn * inverse + (dm + 2 * dv * (x - means[0])) / x.shape[1]
        da = a * (da - (a * da).sum())
        db = b * db if slip == "softmax of the weights" else b * (db - (b * db).sum())
        if slip == "weights interchanged":
            da, db = db, da
        grads = {
            "gain": (g * normed).sum((0, 1)),
            "bias": g.sum((0, 1)),
            "mean": da,
            "var": db,
        }
        return dx, grads

    norm.defvjp(fwd, bwd)
    return norm, plain


def residual_streams(rng):
    """As they start: a learned part that is small on a fixed routing."""
    params = {
        "alpha": normal(rng, 6, 4, std=0.2),
        "beta": normal(rng, 6, std=0.2),
        "routes": jnp.concatenate([jnp.eye(3)[:, :1], jnp.eye(3)], 1),
        "depths": jnp.ones(3),
        "alpha_scale": jnp.float32(0.1),
        "beta_scale": jnp.float32(0.1),
    }
    return normal(rng, 4, 3, 6), normal(rng, 4, 6), params


@case(
    "dynamic hyper-connections in flax ports: streams are mixed around a layer",
    "residual connection",
    residual_streams,
    Twin(
        "streams in the routes",
        "term|path",
        "streams",
        "The streams are reached as what is mixed, and not through the routes.",
    ),
    Twin(
        "mixing turned round",
        "transpose|index|axis",
        "streams",
        "The streams are given the mixture of the forward, not its transpose.",
    ),
    Twin(
        "norm of the streams",
        "term|path|function",
        "streams",
        "The root mean square that the routes are made with is a constant.",
    ),
    scales=(0.3, 1.0, 10.0),
)
def hyper_connections(slip):
    def routes(streams, params):
        inverse = jax.lax.rsqrt((streams**2).mean(-1, keepdims=True) + 1e-6)
        normed = streams * inverse
        a = jnp.tanh(normed @ params["alpha"])
        b = jnp.tanh(normed @ params["beta"])
        alpha = params["routes"] + params["alpha_scale"] * a
        beta = params["depths"] + params["beta_scale"] * b
        return inverse, normed, a, b, alpha, beta

    @jax.custom_vjp
    def connect(streams, layer, params):
        """The layer's next input, and the streams with what the layer gave."""
        *_, alpha, beta = routes(streams, params)
        mixed = jnp.einsum("nsr,nsd->nrd", alpha, streams)
        return mixed[:, 0], mixed[:, 1:] + beta[..., None] * layer[:, None]

    def fwd(streams, layer, params):
        return connect.fun(streams, layer, params), (streams, layer, params)

    def bwd(res, g):
        streams, layer, params = res
        inverse, normed, a, b, alpha, beta = routes(streams, params)
        dmixed = jnp.concatenate([g[0][:, None], g[1]], 1)
        dbeta = (g[1] * layer[:, None]).sum(-1)
        dalpha = jnp.einsum("nsd,nrd->nsr", streams, dmixed)
        dstreams = jnp.einsum("nsr,nrd->nsd", alpha, dmixed)
        if slip == "mixing turned round":
            turned = alpha.at[..., 1:].set(alpha[..., 1:].mT)
            dstreams = jnp.einsum("nsr,nrd->nsd", turned, dmixed)
        da = params["alpha_scale"] * dalpha * (1 - a * a)
        db = params["beta_scale"] * dbeta * (1 - b * b)
        dn = da @ params["alpha"].T + db[..., None] * params["beta"]
        inner = (dn * normed).mean(-1, keepdims=True)
        if slip == "norm of the streams":
            inner = 0
        if slip != "streams in the routes":
            dstreams = dstreams + inverse * (dn - normed * inner)
        grads = {
            "alpha": jnp.einsum("nsd,nsr->dr", normed, da),
            "beta": jnp.einsum("nsd,ns->d", normed, db),
            "routes": dalpha.sum(0),
            "depths": dbeta.sum(0),
            "alpha_scale": (dalpha * a).sum(),
            "beta_scale": (dbeta * b).sum(),
        }
        return dstreams, (beta[..., None] * g[1]).sum(1), grads

    connect.defvjp(fwd, bwd)
    return connect, connect.fun
