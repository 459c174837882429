"""Populations, solids and clusters."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def cohorts(rng):
    return positive(rng, 4), positive(rng, 4), positive(rng, 3, low=0.2, high=0.9), 4


@case(
    "Leslie matrices in population projections",
    "recurrence",
    cohorts,
    Twin(
        "after the step",
        "residual|index|shift",
        "fecundity survival",
        "The rates' gradients meet the population after the step.",
    ),
    Twin(
        "last year only",
        "sum|term|factor|ratio",
        "survival",
        "Of all years the first one's gradient of survival is kept.",
    ),
    Twin(
        "ageing not turned",
        "transpose|shift|index|swap",
        "start fecundity survival",
        "The gradient ages as the population does, from younger to older.",
    ),
    narrow=False,
)
def leslie_projection(slip):
    def grow(n, fecundity, survival):
        return jnp.concatenate([(fecundity @ n)[None], survival * n[:-1]])

    def years(start, fecundity, survival, count):
        def step(n, _):
            new = grow(n, fecundity, survival)
            return new, (new, new if slip == "after the step" else n)

        return lax.scan(step, start, length=count)[1]

    def plain(start, fecundity, survival, count):
        return years(start, fecundity, survival, count)[0]

    project = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(start, fecundity, survival, count):
        every, before = years(start, fecundity, survival, count)
        return every, (before, fecundity, survival)

    def bwd(count, res, g):
        before, fecundity, survival = res

        def step(carry, now):
            a, df, ds = carry
            n, g = now
            a = a + g
            fresh = a[1:] * n[:-1]
            ds = fresh if slip == "last year only" else ds + fresh
            older = jnp.pad(survival * a[1:], (0, 1))
            if slip == "ageing not turned":
                older = jnp.pad(survival * a[:-1], (1, 0))
            return (fecundity * a[0] + older, df + a[0] * n, ds), None

        zeros = jax.tree.map(jnp.zeros_like, (fecundity, fecundity, survival))
        return lax.scan(step, zeros, (before, g), reverse=True)[0]

    project.defvjp(fwd, bwd)
    return project, plain


def crystal(volume):
    def args(rng):
        fit = {"e0": -3.2, "v0": 16.0, "b0": 0.8, "slope": 4.6}
        fit = {k: jnp.float32(v) for k, v in fit.items()}
        return positive(rng, 5, low=volume, high=1.3 * volume), fit

    return args


@case(
    "Birch-Murnaghan fits in ase and pymatgen",
    "equation of state",
    crystal(14.0),
    Twin(
        "prefactor",
        "term|path",
        "fit",
        "The volume at rest is in the prefactor too; that part is forgotten.",
    ),
    Twin(
        "exponent",
        "factor|ratio",
        "volume",
        "The power of two thirds is pulled back without its exponent.",
    ),
    Twin(
        "compressed",
        "mask|region|predicate",
        "volume",
        "Volumes below the least are clamped, yet get a gradient.",
        witness=crystal(3.0),
    ),
    narrow=False,
)
def birch_murnaghan_energy(slip):
    least = 6.0

    def pieces(volume, fit):
        rest = jnp.maximum(fit["v0"], least)
        v = jnp.maximum(volume, least)
        x = (rest / v) ** (2 / 3)
        y = x - 1
        return rest, v, x, y**3 * fit["slope"] + y**2 * (6 - 4 * x)

    @jax.custom_vjp
    def energy(volume, fit):
        rest, _, _, shape = pieces(volume, fit)
        return fit["e0"] + 9 / 16 * rest * fit["b0"] * shape

    def fwd(volume, fit):
        return energy.fun(volume, fit), (volume, fit)

    def bwd(res, g):
        volume, fit = res
        rest, v, x, shape = pieces(volume, fit)
        y = x - 1
        scale = 9 / 16 * rest * fit["b0"]
        slope = 3 * y**2 * fit["slope"] + 2 * y * (6 - 4 * x) - 4 * y**2
        power = 1 if slip == "exponent" else 2 / 3
        dx = g * scale * slope * x
        dv = -power * dx / v
        if slip != "compressed":
            dv = jnp.where(volume > least, dv, 0)
        drest = 2 / 3 * (dx / rest).sum()
        if slip != "prefactor":
            drest = drest + 9 / 16 * fit["b0"] * (g * shape).sum()
        dfit = {
            "e0": g.sum(),
            "v0": jnp.where(fit["v0"] > least, drest, 0),
            "b0": 9 / 16 * rest * (g * shape).sum(),
            "slope": scale * (g * y**3).sum(),
        }
        return dv, dfit

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def cluster(rng):
    box = jnp.asarray([3.0, 3.5, 4.0], jnp.float32)
    return normal(rng, 6, 3, std=1.5), jnp.float32(1.2), box, 6


@case(
    "coordination numbers by switching functions in plumed and colvars",
    "collective variable",
    cluster,
    Twin(
        "one of the pair",
        "term|sum|index",
        "positions",
        "An atom moves its own number; that of its neighbours is forgotten.",
    ),
    Twin(
        "reference sign",
        "sign|ratio",
        "reference",
        "The reference distance has the sign of the distance itself.",
    ),
    Twin(
        "box",
        "term|zero|path",
        "box",
        "The image's shift depends on the box, which gets no gradient.",
    ),
    fixed=(2,),
    narrow=False,
)
def coordination_number(slip):
    def pairs(positions, reference, box, power):
        off = positions[:, None] - positions
        wraps = jnp.zeros_like(off)
        if box is not None:
            wraps = lax.stop_gradient(jnp.round(off / box))
            off = off - wraps * box
        r2 = (off * off).sum(-1)
        far, near = r2 ** (power // 2), reference**power
        s = near / (near + far)
        return off, wraps, r2, jnp.where(jnp.eye(len(s), dtype=bool), 0, s)

    def plain(positions, reference, box, power):
        return pairs(positions, reference, box, power)[-1].sum(1)

    count = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, reference, box, power):
        value = plain(positions, reference, box, power)
        return value, (positions, reference, box)

    def bwd(power, res, g):
        positions, reference, box = res
        off, wraps, r2, s = pairs(positions, reference, box, power)
        half = power // 2
        apart = ~jnp.eye(len(s), dtype=bool)
        ds = jnp.where(apart, g[:, None], 0)
        total = reference**power + r2**half
        dr2 = -ds * s / total * half * r2 ** (half - 1)
        doff = 2 * dr2[..., None] * off
        dpositions = doff.sum(1)
        if slip != "one of the pair":
            dpositions = dpositions - doff.sum(0)
        slope = power * reference ** (power - 1) * r2**half / total**2
        dreference = (ds * slope).sum()
        if slip == "reference sign":
            dreference = -dreference
        dbox = None
        if box is not None:
            dbox = -(doff * wraps).sum((0, 1))
            if slip == "box":
                dbox = jnp.zeros_like(dbox)
        return dpositions, dreference, dbox

    count.defvjp(fwd, bwd)
    return count, plain


@case(
    "Jukes-Cantor distances of soft sequences in phylogenetic toolkits",
    "genetics",
    lambda rng: (normal(rng, 4, 6, 4), normal(rng, 6)),
    Twin(
        "both sequences",
        "term|path|sum",
        "logits",
        "A sequence is compared with all, of which one side gets the gradient.",
    ),
    Twin(
        "saturated",
        "mask|region|predicate|edge",
        "logits site_logits",
        "Too different sequences have the largest distance, yet a gradient.",
    ),
    Twin(
        "weights of the sites",
        "affine|term|path",
        "site_logits",
        "The softmax of the sites' weights is pulled back without its mean.",
    ),
    narrow=False,
)
def jc_distance(slip):
    largest = 0.72

    def pieces(logits, site_logits):
        p, w = jax.nn.softmax(logits), jax.nn.softmax(site_logits)
        same = jnp.einsum("isa,jsa->sij", p, p)
        return p, w, same, 1 - jnp.einsum("s,sij->ij", w, same)

    @jax.custom_vjp
    def distance(logits, site_logits):
        differ = pieces(logits, site_logits)[-1]
        return -0.75 * jnp.log(1 - 4 / 3 * jnp.minimum(differ, largest))

    def fwd(logits, site_logits):
        return distance.fun(logits, site_logits), (logits, site_logits)

    def bwd(res, g):
        p, w, same, differ = pieces(*res)
        d = g / (1 - 4 / 3 * jnp.minimum(differ, largest))
        if slip != "saturated":
            d = jnp.where(differ < largest, d, 0)
        both = d if slip == "both sequences" else d + d.T
        dp = -jnp.einsum("s,ij,jsa->isa", w, both, p)
        dw = -jnp.einsum("ij,sij->s", d, same)
        centre = 0 if slip == "weights of the sites" else w @ dw
        dlogits = p * (dp - (p * dp).sum(-1, keepdims=True))
        return dlogits, w * (dw - centre)

    distance.defvjp(fwd, bwd)
    return distance, distance.fun
