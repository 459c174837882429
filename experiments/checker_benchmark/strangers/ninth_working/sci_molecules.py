"""Molecules: layers, read-outs and losses of learned potentials."""

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


def three_layers(rng):
    sizes = [(3, 5), (5, 4), (4, 1)]
    layers = [
        {"w": normal(rng, i, o, std=0.6), "b": normal(rng, o, std=0.3)}
        for i, o in sizes
    ]
    return normal(rng, 6, 3), layers


@case(
    "shifted softplus in the filter networks of SchNet (schnetpack, jax-md)",
    "dense layers with a pytree",
    three_layers,
    Twin(
        "shift in the slope",
        "function|operand|residual",
        "x layers",
        "The slope comes from the shifted output as if it were not shifted.",
    ),
    Twin(
        "last layer bent",
        "function|term",
        "x layers",
        "The last layer is linear; its backward has the activation's slope.",
    ),
    Twin(
        "first bias",
        "residual|factor|operand",
        "layers",
        "A layer's bias gets the cotangent of its output before the slope.",
    ),
)
def shifted_softplus_mlp(slip):
    def ssp(z):
        return jax.nn.softplus(z) - jnp.log(2.0)

    def plain(x, layers):
        for layer in layers[:-1]:
            x = ssp(x @ layer["w"] + layer["b"])
        return x @ layers[-1]["w"] + layers[-1]["b"]

    mlp = jax.custom_vjp(plain)

    def fwd(x, layers):
        kept = []
        for n, layer in enumerate(layers):
            z = x @ layer["w"] + layer["b"]
            kept.append((x, z))
            x = z if n == len(layers) - 1 else ssp(z)
        return x, (kept, layers)

    def bwd(res, g):
        kept, layers = res
        grads = []
        for n in reversed(range(len(layers))):
            x, z = kept[n]
            before = g
            if n < len(layers) - 1 or slip == "last layer bent":
                slope = jax.nn.sigmoid(z)
                if slip == "shift in the slope":
                    slope = 1 - jnp.exp(-ssp(z))
                g = g * slope
            at = before if slip == "first bias" else g
            db = at.reshape(-1, at.shape[-1]).sum(0)
            grads.append({"w": jnp.einsum("...i,...o->io", x, g), "b": db})
            g = g @ layers[n]["w"].T
        return g, grads[::-1]

    mlp.defvjp(fwd, bwd)
    return mlp, plain


@case(
    "vector neuron leaky ReLU (VN-DGCNN) in jax ports",
    "equivariant activation",
    lambda rng: (normal(rng, 4, 3, 3), normal(rng, 3, 5), normal(rng, 3, 5), 0.2),
    Twin(
        "length of the direction",
        "term|path|ratio",
        "x direction",
        "The squared length that is divided by is taken as a constant.",
    ),
    Twin(
        "other half space",
        "mask|region",
        "x feature direction",
        "Vectors that pass unchanged are projected in the backward.",
    ),
    Twin(
        "leak",
        "option|factor|ratio",
        "x feature direction",
        "The backward is that of a ReLU without a leak.",
    ),
)
def vector_neuron_relu(slip):
    def pieces(x, feature, direction):
        q = jnp.einsum("...ci,co->...oi", x, feature)
        d = jnp.einsum("...ci,co->...oi", x, direction)
        square = (d * d).sum(-1, keepdims=True) + 1e-6
        return q, d, square, (q * d).sum(-1, keepdims=True)

    def plain(x, feature, direction, leak):
        q, d, square, dot = pieces(x, feature, direction)
        return q - (1 - leak) * jnp.where(dot < 0, dot / square, 0) * d

    act = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, feature, direction, leak):
        return plain(x, feature, direction, leak), (x, feature, direction)

    def bwd(leak, res, g):
        x, feature, direction = res
        q, d, square, dot = pieces(x, feature, direction)
        if slip == "leak":
            leak = 0.0
        off = (1 - leak) * (dot < 0)
        if slip == "other half space":
            off = 1 - leak
        share = dot / square
        along = (g * d).sum(-1, keepdims=True) / square
        dq = g - off * along * d
        turned = along * q
        if slip != "length of the direction":
            turned = turned - 2 * share * along * d
        dd = -off * (share * g + turned)
        dx = jnp.einsum("...oi,co->...ci", dq, feature)
        dx = dx + jnp.einsum("...oi,co->...ci", dd, direction)
        dfeature = jnp.einsum("...ci,...oi->co", x, dq)
        return dx, dfeature, jnp.einsum("...ci,...oi->co", x, dd)

    act.defvjp(fwd, bwd)
    return act, plain


def batch_of_molecules(rng):
    pred = {"energy": normal(rng, 3), "forces": normal(rng, 8, 3)}
    target = {"energy": normal(rng, 3), "forces": normal(rng, 8, 3)}
    atoms = jnp.asarray([2, 4, 0], jnp.int32)
    return pred, target, atoms, jnp.arange(8) < 6, (1.0, 10.0)


@case(
    "weighted energy and force loss of MACE and NequIP in JAX",
    "loss with pytrees",
    batch_of_molecules,
    Twin(
        "per atom once",
        "factor|ratio|operand",
        "pred target",
        "The energy's difference is divided by the atoms once, not twice.",
    ),
    Twin(
        "padded forces",
        "mask",
        "pred target",
        "Atoms that are padding have a gradient of their forces.",
    ),
    Twin(
        "three components",
        "factor|ratio|sum",
        "pred target",
        "The forces' gradient is divided by the atoms, not by the components.",
    ),
)
def energy_force_loss(slip):
    def counts(atoms, real):
        return jnp.maximum(atoms, 1), jnp.maximum(real.sum(), 1), (atoms > 0)

    def plain(pred, target, atoms, real, weights):
        size, total, full = counts(atoms, real)
        de = (pred["energy"] - target["energy"]) / size
        df = pred["forces"] - target["forces"]
        energy = (full * de * de).sum() / jnp.maximum(full.sum(), 1)
        forces = jnp.where(real[:, None], df * df, 0).sum() / (3 * total)
        return weights[0] * energy + weights[1] * forces

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(pred, target, atoms, real, weights):
        value = plain(pred, target, atoms, real, weights)
        return value, (jax.tree.map(jnp.subtract, pred, target), atoms, real)

    def bwd(weights, res, g):
        diff, atoms, real = res
        size, total, full = counts(atoms, real)
        scale = full / size if slip == "per atom once" else full / size / size
        de = 2 * g * weights[0] * diff["energy"] * scale / jnp.maximum(full.sum(), 1)
        df = 2 * g * weights[1] * diff["forces"] / total
        if slip != "three components":
            df = df / 3
        if slip != "padded forces":
            df = jnp.where(real[:, None], df, 0)
        de = de.astype(diff["energy"].dtype)
        dpred = {"energy": de, "forces": df.astype(diff["forces"].dtype)}
        return dpred, jax.tree.map(jnp.negative, dpred), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def atoms_of_molecules(rng):
    tables = {"scale": positive(rng, 4), "shift": normal(rng, 4)}
    molecule = jnp.asarray([0, 0, 0, 1, 1, 2, 3, 3], jnp.int32)
    return normal(rng, 8), tables, integers(rng, 4, 8), molecule, 3, "mean"


@case(
    "scale and shift by species and sum over molecules (schnetpack, jraph)",
    "pooling of atoms with tables",
    atoms_of_molecules,
    Twin(
        "padding reads the last",
        "mask|index|edge",
        "energies tables",
        "Padded atoms gather the cotangent of the last molecule.",
    ),
    Twin(
        "species once",
        "duplicates|index|sum",
        "tables",
        "Of the atoms of a species one counts.",
    ),
    Twin(
        "always a sum",
        "option|factor|ratio",
        "energies tables",
        "The backward is that of the sum, where the mean was asked for.",
    ),
)
def readout_by_molecule(slip):
    def sizes(molecule, count, pool):
        ones = jnp.ones(molecule.shape, jnp.int32)
        size = jax.ops.segment_sum(ones, molecule, count)
        return jnp.maximum(size, 1) if pool == "mean" else jnp.ones_like(size)

    def plain(energies, tables, species, molecule, count, pool):
        each = tables["scale"][species] * energies + tables["shift"][species]
        total = jax.ops.segment_sum(each, molecule, count)
        return total / sizes(molecule, count, pool)

    pool_atoms = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(energies, tables, species, molecule, count, pool):
        value = plain(energies, tables, species, molecule, count, pool)
        return value, (energies, tables, species, molecule)

    def bwd(count, pool, res, g):
        energies, tables, species, molecule = res
        if slip != "always a sum":
            g = g / sizes(molecule, count, pool)
        each = g[jnp.clip(molecule, 0, count - 1)]
        if slip != "padding reads the last":
            each = jnp.where((molecule >= 0) & (molecule < count), each, 0)

        def spread(table, values):
            at = jnp.zeros_like(table).at[species]
            return at.set(values) if slip == "species once" else at.add(values)

        dscale = spread(tables["scale"], each * energies)
        dtables = {"scale": dscale, "shift": spread(tables["shift"], each)}
        return each * tables["scale"][species], dtables, None, None

    pool_atoms.defvjp(fwd, bwd)
    return pool_atoms, plain
