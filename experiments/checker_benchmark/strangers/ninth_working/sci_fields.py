"""Neural fields and operators: layers, densities and shading terms."""

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


@case(
    "sine layer of SIREN in jax ports (inr-jax)",
    "dense layer with a sine",
    lambda rng: (normal(rng, 6, 3), normal(rng, 3, 5, std=0.1), normal(rng, 5), 30.0),
    Twin(
        "frequency of the bias",
        "factor|ratio",
        "b",
        "The bias is inside the frequency; its gradient is as if it were not.",
    ),
    Twin(
        "phase",
        "function|operand",
        "x w b",
        "The cosine is taken of the sum before the frequency is applied.",
    ),
    Twin(
        "batch averaged",
        "sum|factor|ratio",
        "b",
        "The bias's gradient is the mean over the batch.",
    ),
    narrow=False,
)
def siren_layer(slip):
    def plain(x, w, b, omega):
        return jnp.sin(omega * (x @ w + b))

    layer = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, w, b, omega):
        z = x @ w + b
        return jnp.sin(omega * z), (x, w, z)

    def bwd(omega, res, g):
        x, w, z = res
        dcos = g * jnp.cos(z if slip == "phase" else omega * z)
        dz = omega * dcos
        db = dcos if slip == "frequency of the bias" else dz
        db = db.reshape(-1, w.shape[1])
        db = db.mean(0) if slip == "batch averaged" else db.sum(0)
        return dz @ w.T, jnp.einsum("...i,...o->io", x, dz), db

    layer.defvjp(fwd, bwd)
    return layer, plain


@case(
    "squareplus (optax, jax.nn) after a dense layer, with a learned curvature",
    "dense layer with an activation",
    lambda rng: (
        normal(rng, 5, 3),
        normal(rng, 3, 4),
        normal(rng, 4),
        positive(rng, 4, low=1.0, high=4.0),
    ),
    Twin(
        "output for input",
        "residual|operand|function",
        "x w b beta",
        "The slope is computed of the saved output, as if it were the sum.",
    ),
    Twin(
        "half of the root",
        "factor|ratio",
        "beta",
        "The curvature's gradient lacks the half in front of the root.",
    ),
    Twin(
        "curvature outside",
        "term|operand|function",
        "x w b",
        "The slope's root is taken without the curvature.",
    ),
)
def squareplus_dense(slip):
    def plain(x, w, b, beta):
        h = x @ w + b
        return (h + jnp.sqrt(h * h + beta)) / 2

    layer = jax.custom_vjp(plain)

    def fwd(x, w, b, beta):
        y = plain(x, w, b, beta)
        h = y if slip == "output for input" else x @ w + b
        return y, (x, w, h, beta)

    def bwd(res, g):
        x, w, h, beta = res
        root = jnp.sqrt(h * h + beta)
        if slip == "curvature outside":
            slope = 1 + jnp.sign(h)
        else:
            # 1 + h / root, without the cancellation where h is negative
            low = beta / (root * (root + jnp.abs(h)))
            slope = jnp.where(h < 0, low, 1 + h / root)
        dh = g * slope / 2
        dbeta = g / (2 * root)
        if slip != "half of the root":
            dbeta = dbeta / 2

        def over_batch(a):
            return a.reshape(-1, a.shape[-1]).sum(0)

        dw = jnp.einsum("...i,...o->io", x, dh)
        return dh @ w.T, dw, over_batch(dh), over_batch(dbeta)

    layer.defvjp(fwd, bwd)
    return layer, plain


@case(
    "Laplace density of signed distances (VolSDF) in sdfstudio ports",
    "density of a surface",
    lambda rng: (normal(rng, 4, 6, std=0.3), jnp.float32(0.2), 1e-2),
    Twin(
        "height of the density",
        "term|path",
        "beta",
        "Of beta's two places only the one in the exponent has a gradient.",
    ),
    Twin(
        "smallest beta",
        "option|residual|operand|eps",
        "sdf beta",
        "The backward takes beta without the least width that the forward adds.",
    ),
    Twin(
        "inside the surface",
        "sign|region",
        "sdf",
        "Inside, the slope has the other sign.",
    ),
    narrow=False,
)
def volsdf_density(slip):
    def pieces(sdf, width):
        outside = sdf >= 0
        half = jnp.exp(-jnp.where(outside, sdf, -sdf) / width) / 2
        return outside, half, jnp.where(outside, half, 1 - half)

    def plain(sdf, beta, least):
        width = jnp.abs(beta) + least
        return pieces(sdf, width)[2] / width

    density = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(sdf, beta, least):
        return plain(sdf, beta, least), (sdf, beta)

    def bwd(least, res, g):
        sdf, beta = res
        width = jnp.abs(beta)
        if slip != "smallest beta":
            width = width + least
        outside, half, share = pieces(sdf, width)
        dsdf = -g * half / width / width
        if slip == "inside the surface":
            dsdf = jnp.where(outside, dsdf, -dsdf)
        dwidth = g * half * (sdf / width) / width / width
        if slip != "height of the density":
            dwidth = dwidth - g * share / width / width
        return dsdf, jnp.sign(beta) * dwidth.sum()

    density.defvjp(fwd, bwd)
    return density, plain


def slopes(first_zero):
    def args(rng):
        field = normal(rng, 8, 3)
        if first_zero:
            field = field.at[0].set(0)
        return field, positive(rng, 8)

    return args


@case(
    "weighted eikonal loss of implicit surfaces (IGR, NeuS) in JAX ports",
    "loss of gradients of a field",
    slopes(False),
    Twin(
        "sum of the weights",
        "term|path",
        "weights",
        "The weights' gradient lacks the part through their sum.",
    ),
    Twin(
        "direction",
        "ratio|factor|operand|function",
        "field",
        "The slope is not divided by its length.",
    ),
    Twin(
        "bare length",
        "eps|edge|zero",
        "field",
        "The backward's length is without the epsilon: 0/0 where the field is flat.",
        witness=slopes(True),
    ),
)
def eikonal_loss(slip):
    def lengths(field):
        return jnp.sqrt((field * field).sum(-1) + 1e-8)

    @jax.custom_vjp
    def loss(field, weights):
        miss = lengths(field) - 1
        return (weights * miss * miss).sum() / (weights.sum() + 1e-6)

    def fwd(field, weights):
        value = loss.fun(field, weights)
        return value, (field, weights, value)

    def bwd(res, g):
        field, weights, value = res
        length = lengths(field)
        total = weights.sum() + 1e-6
        miss = length - 1
        if slip == "bare length":
            length = jnp.sqrt((field * field).sum(-1))
        dlength = 2 * g * weights * miss / total
        if slip != "direction":
            dlength = dlength / length
        dweights = miss * miss
        if slip != "sum of the weights":
            dweights = dweights - value
        return dlength[:, None] * field, g * dweights / total

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "branch and trunk of DeepONet in deepxde and JAX examples",
    "product of two networks",
    lambda rng: (normal(rng, 3, 2, 4), normal(rng, 5, 4), normal(rng, 2)),
    Twin(
        "width of the networks",
        "factor|ratio",
        "branch",
        "The forward divides by the width, the branch's gradient does not.",
    ),
    Twin(
        "one trunk for all",
        "sum|factor|ratio",
        "trunk",
        "The trunk is shared by the batch: its gradient is a mean, not a sum.",
    ),
    Twin(
        "points of the bias",
        "sum|factor|ratio",
        "bias",
        "The bias's gradient is averaged over the points.",
    ),
)
def deeponet_combine(slip):
    def letters(trunk):
        return "bcp,bnp->bnc" if trunk.ndim == 3 else "bcp,np->bnc"

    @jax.custom_vjp
    def combine(branch, trunk, bias):
        return jnp.einsum(letters(trunk), branch, trunk) / branch.shape[-1] + bias

    def fwd(branch, trunk, bias):
        return combine.fun(branch, trunk, bias), (branch, trunk)

    def bwd(res, g):
        branch, trunk = res
        own = "bnp" if trunk.ndim == 3 else "np"
        scaled = g / branch.shape[-1]
        other = g if slip == "width of the networks" else scaled
        dbranch = jnp.einsum(f"bnc,{own}->bcp", other, trunk)
        dtrunk = jnp.einsum(f"bnc,bcp->{own}", scaled, branch)
        if slip == "one trunk for all":
            dtrunk = dtrunk / len(branch)
        dbias = g.sum(0)
        dbias = dbias.mean(0) if slip == "points of the bias" else dbias.sum(0)
        return dbranch, dtrunk, dbias

    combine.defvjp(fwd, bwd)
    return combine, combine.fun
