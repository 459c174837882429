"""Molecules: a radial basis and equivariant layers."""

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
    "polynomial envelope of DimeNet (e3nn-jax poly_envelope) on a radial basis",
    "radial basis with a cutoff",
    lambda rng: (positive(rng, 7, low=0.3, high=6.0), normal(rng, 7, 4), 5.0, 5),
    Twin(
        "cutoff's factor",
        "factor|ratio",
        "distance",
        "The division of the distance by the cutoff is not pulled back.",
    ),
    Twin(
        "basis as it is",
        "factor|term|operand",
        "basis",
        "The basis gets the cotangent without the envelope.",
    ),
    Twin(
        "one power",
        "function|factor|operand",
        "distance",
        "The envelope's slope has 1 - x where its square belongs.",
    ),
)
def polynomial_envelope(slip):
    def envelope(x, p):
        head = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
        return jnp.where(x < 1, 1 - head * x**p, 0)

    def plain(distance, basis, cutoff, p):
        return envelope(distance / cutoff, p)[:, None] * basis

    apply = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(distance, basis, cutoff, p):
        x = distance / cutoff
        u = envelope(x, p)
        return u[:, None] * basis, (x, u, basis)

    def bwd(cutoff, p, res, g):
        x, u, basis = res
        rest = (1 - x) if slip == "one power" else (1 - x) ** 2
        slope = -p * (p + 1) * (p + 2) / 2 * x ** (p - 1) * rest
        dx = jnp.where(x < 1, slope, 0) * (g * basis).sum(-1)
        if slip != "cutoff's factor":
            dx = dx / cutoff
        return dx, g if slip == "basis as it is" else g * u[:, None]

    apply.defvjp(fwd, bwd)
    return apply, plain


@case(
    "norm_activation with a bias in e3nn-jax",
    "equivariant activation",
    lambda rng: (normal(rng, 4, 3, 5), normal(rng, 3), 1e-2),
    Twin(
        "length divided by",
        "term|path|ratio",
        "x",
        "The division by the length is taken as a constant.",
    ),
    Twin(
        "slope of silu",
        "term|function",
        "x bias",
        "The sigmoid stands for the slope of silu.",
    ),
    Twin(
        "one direction",
        "sum|operand|ratio",
        "bias",
        "The bias's gradient does not see the direction of the feature.",
    ),
)
def norm_activation(slip):
    def pieces(x, bias, eps):
        n = jnp.sqrt((x * x).sum(-1, keepdims=True) + eps * eps)
        z = n + bias[:, None]
        return n, z, jax.nn.sigmoid(z)

    def plain(x, bias, eps):
        n, z, s = pieces(x, bias, eps)
        return x * (z * s / n)

    act = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, bias, eps):
        return plain(x, bias, eps), (x, bias)

    def bwd(eps, res, g):
        x, bias = res
        n, z, s = pieces(x, bias, eps)
        slope = s if slip == "slope of silu" else s + z * s * (1 - s)
        unit = x / n
        along = (g * unit).sum(-1, keepdims=True)
        dn = slope if slip == "length divided by" else slope - z * s / n
        dz = along * slope
        if slip == "one direction":
            dz = g.sum(-1, keepdims=True) * slope
        dbias = dz[..., 0].reshape(-1, len(bias)).sum(0)
        return g * (z * s / n) + along * dn * unit, dbias

    act.defvjp(fwd, bwd)
    return act, plain


def irreps(rng):
    x = {0: normal(rng, 3, 5, 1, mean=0.5), 1: normal(rng, 3, 4, 3)}
    weight = {0: positive(rng, 5), 1: positive(rng, 4)}
    return x, weight, normal(rng, 5), "component"


@case(
    "equivariant layer norm of Equiformer in e3nn-jax ports",
    "normalisation of features by their degree",
    irreps,
    Twin(
        "vectors centred",
        "term|predicate",
        "x",
        "The mean over the channels is taken from the vectors' gradient too.",
    ),
    Twin(
        "components counted",
        "option|factor|ratio",
        "x",
        "The backward averages over channels only, as the other option does.",
    ),
    Twin(
        "weight within",
        "factor|operand|term",
        "x",
        "The part through the norm lacks the weights.",
    ),
)
def equivariant_layer_norm(slip):
    def normalised(x, degree, by):
        if degree == 0:
            x = x - x.mean(-2, keepdims=True)
        square = (x * x).sum((-2, -1), keepdims=True)
        count = x.shape[-2] * (x.shape[-1] if by == "component" else 1)
        root = jax.lax.rsqrt(square / count + 1e-5)
        return x * root, root, count

    def plain(x, weight, bias, by):
        y = {d: normalised(x[d], d, by)[0] * weight[d][:, None] for d in x}
        return y | {0: y[0] + bias[:, None]}

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, weight, bias, by):
        return plain(x, weight, bias, by), (x, weight)

    def bwd(by, res, g):
        x, weight = res
        dx, dweight = {}, {}
        for d in x:
            unit, root, count = normalised(x[d], d, by)
            if slip == "components counted":
                count = x[d].shape[-2]
            inner = g[d] * weight[d][:, None]
            along = g[d] if slip == "weight within" else inner
            share = (along * unit).sum((-2, -1), keepdims=True) / count
            back = root * (inner - unit * share)
            if d == 0 or slip == "vectors centred":
                back = back - back.mean(-2, keepdims=True)
            dx[d] = back
            each = (g[d] * unit).sum(-1)
            dweight[d] = each.reshape(-1, each.shape[-1]).sum(0)
        return dx, dweight, g[0].sum(-1).reshape(-1, g[0].shape[-2]).sum(0)

    norm.defvjp(fwd, bwd)
    return norm, plain


def energies_of(per_atom):
    def args(rng):
        counts = jnp.asarray([[2, 1, 0], [0, 1, 3], [0, 0, 0], [4, 2, 1]], jnp.int32)
        stats = {"baseline": normal(rng, 3), "std": jnp.float32(1.7)}
        return normal(rng, 4), counts, stats, per_atom

    return args


@case(
    "energies less those of the free atoms, standardised (mace-jax, fairchem ports)",
    "standardisation with an option",
    energies_of(True),
    Twin(
        "energies of whole molecules",
        "option|factor|ratio",
        "energies stats",
        "The backward does not divide by the atoms, as the other option does.",
    ),
    Twin(
        "output for input",
        "factor|ratio|residual",
        "stats",
        "The deviation's gradient has the output, not divided by the deviation.",
    ),
    Twin(
        "counts of the atoms",
        "sum|factor|operand",
        "stats",
        "Each species in a molecule counts once, however many atoms it has.",
    ),
)
def atomic_energy_baseline(slip):
    def scales(counts, stats, per_atom):
        width = jnp.abs(stats["std"]) + 1e-3
        atoms = jnp.maximum(counts.sum(-1), 1).astype(width.dtype)
        return width, 1 / atoms if per_atom else jnp.ones_like(atoms)

    def plain(energies, counts, stats, per_atom):
        width, share = scales(counts, stats, per_atom)
        return (energies - counts @ stats["baseline"]) * share / width

    standardise = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(energies, counts, stats, per_atom):
        y = plain(energies, counts, stats, per_atom)
        return y, (y, counts, stats)

    def bwd(per_atom, res, g):
        y, counts, stats = res
        if slip == "energies of whole molecules":
            per_atom = False
        width, share = scales(counts, stats, per_atom)
        denergies = g * share / width
        times = jnp.sign(counts) if slip == "counts of the atoms" else counts
        dwidth = -(g * y).sum()
        if slip != "output for input":
            dwidth = dwidth / width
        dbaseline = (-denergies @ times).astype(stats["baseline"].dtype)
        dstats = {"baseline": dbaseline, "std": dwidth * jnp.sign(stats["std"])}
        return denergies, None, dstats

    standardise.defvjp(fwd, bwd)
    return standardise, plain
