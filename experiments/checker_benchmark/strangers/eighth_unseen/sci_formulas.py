"""Short formulas of signals, solids and surfaces."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "Teager-Kaiser energy in speech toolkits",
    "energy of signals",
    draw(x=(2, 8)),
    Twin(
        "neighbours swapped",
        "swap|index|shift",
        "x",
        "The neighbour's gradient meets the neighbour itself, not the opposite one.",
    ),
    Twin(
        "square",
        "factor|ratio",
        "x",
        "The square of the middle sample is pulled back without the two.",
    ),
    Twin(
        "product rule",
        "term|path",
        "x",
        "Of the product of the neighbours only the later one gets a gradient.",
    ),
)
def teager_energy(slip):
    @jax.custom_vjp
    def energy(x):
        return x[:, 1:-1] ** 2 - x[:, :-2] * x[:, 2:]

    def fwd(x):
        return energy.fun(x), (x,)

    def bwd(res, g):
        (x,) = res
        past, middle, future = x[:, :-2], x[:, 1:-1], x[:, 2:]
        if slip == "neighbours swapped":
            past, future = future, past
        two = 1 if slip == "square" else 2
        dx = jnp.zeros_like(x).at[:, 1:-1].add(two * g * middle)
        if slip != "product rule":
            dx = dx.at[:, :-2].add(-g * future)
        return (dx.at[:, 2:].add(-g * past),)

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def framed(rng):
    return normal(rng, 2, 11), 4, 2


@case(
    "feature.rms of librosa",
    "frames of signals",
    framed,
    Twin(
        "overlap",
        "duplicates|index|sum",
        "x",
        "A sample in two frames gets the gradient of one.",
    ),
    Twin(
        "mean of the frame",
        "factor|ratio",
        "x",
        "The mean of squares is pulled back as their sum.",
    ),
    Twin(
        "hop",
        "index|option|shift",
        "x",
        "The frames are put back one sample apart, whatever the hop.",
    ),
)
def frame_rms(slip):
    def places(length, frame, hop):
        starts = jnp.arange(0, length - frame + 1, hop)
        return starts[:, None] + jnp.arange(frame)

    def plain(x, frame, hop):
        pieces = x[:, places(x.shape[1], frame, hop)]
        return jnp.sqrt((pieces * pieces).mean(-1) + 1e-8)

    rms = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, frame, hop):
        value = plain(x, frame, hop)
        return value, (x, value)

    def bwd(frame, hop, res, g):
        x, value = res
        place = places(x.shape[1], frame, hop)
        share = 1 if slip == "mean of the frame" else frame
        pieces = (g / value / share)[..., None] * x[:, place]
        if slip == "hop":
            place = jnp.arange(len(place))[:, None] + jnp.arange(frame)
        at = jnp.zeros_like(x).at[:, place]
        return (at.set(pieces) if slip == "overlap" else at.add(pieces),)

    rms.defvjp(fwd, bwd)
    return rms, plain


def faces(rng):
    corners = jnp.stack([jnp.arange(4), jnp.arange(4) + 1, integers(rng, 1, 4) + 5], 1)
    return normal(rng, 6, 3), corners.astype(jnp.int32)


@case(
    "face areas for sampling of meshes in trimesh, pytorch3d and kaolin",
    "meshes",
    faces,
    Twin(
        "first corner",
        "term|path|index",
        "vertices",
        "The corner that both edges start from gets no gradient.",
    ),
    Twin(
        "half",
        "factor|ratio",
        "vertices",
        "A triangle is half of a parallelogram; the gradient is that of the whole.",
    ),
    Twin(
        "shared corners",
        "duplicates|index|sum",
        "vertices",
        "A corner of several triangles gets the gradient of the last.",
    ),
)
def triangle_areas(slip):
    def sides(vertices, faces):
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        u, v = b - a, c - a
        n = jnp.cross(u, v)
        return u, v, n, jnp.sqrt((n * n).sum(-1) + 1e-10)

    @jax.custom_vjp
    def areas(vertices, faces):
        return 0.5 * sides(vertices, faces)[-1]

    def fwd(vertices, faces):
        return areas.fun(vertices, faces), (vertices, faces)

    def bwd(res, g):
        vertices, faces = res
        u, v, n, size = sides(vertices, faces)
        half = 1.0 if slip == "half" else 0.5
        dn = n * (half * g / size)[:, None]
        du, dv = jnp.cross(v, dn), jnp.cross(dn, u)
        first = jnp.zeros_like(du) if slip == "first corner" else -du - dv
        out = jnp.zeros_like(vertices)
        for k, part in enumerate((first, du, dv)):
            at = out.at[faces[:, k]]
            out = at.set(part) if slip == "shared corners" else at.add(part)
        return out, None

    areas.defvjp(fwd, bwd)
    return areas, areas.fun


@case(
    "von Mises stress in jax-fem and topology optimisers",
    "stress",
    draw(stress=(4, 6)),
    Twin(
        "shear",
        "factor|ratio",
        "stress",
        "A shear stress has the factor of a normal one.",
    ),
    Twin(
        "trace",
        "term|path",
        "stress",
        "The mean stress is not taken off from the normal ones.",
    ),
    Twin(
        "root",
        "factor|ratio",
        "stress",
        "The square root is pulled back without its half.",
    ),
)
def von_mises_stress(slip):
    @jax.custom_vjp
    def equivalent(stress):
        x, y, z, yz, xz, xy = jnp.moveaxis(stress, -1, 0)
        normal_part = 0.5 * ((x - y) ** 2 + (y - z) ** 2 + (z - x) ** 2)
        return jnp.sqrt(normal_part + 3 * (yz**2 + xz**2 + xy**2) + 1e-6)

    def fwd(stress):
        value = equivalent.fun(stress)
        return value, (stress, value)

    def bwd(res, g):
        stress, value = res
        direct, shear = stress[..., :3], stress[..., 3:]
        if slip != "trace":
            direct = direct - direct.mean(-1, keepdims=True)
        two = 2 if slip == "root" else 1
        each = 1 if slip == "shear" else 2
        flow = 1.5 * two * jnp.concatenate([direct, each * shear], -1)
        return ((g / value)[..., None] * flow,)

    equivalent.defvjp(fwd, bwd)
    return equivalent, equivalent.fun


def star(rng):
    shape = {"log_width": jnp.float32(0.4), "beta": jnp.float32(2.5)}
    return normal(rng, 2, std=0.5), jnp.float32(3.0), shape, (5, 6)


@case(
    "Moffat profiles of stars in galsim and photutils",
    "light profile",
    star,
    Twin(
        "normalisation",
        "term|path",
        "shape",
        "The exponent's part in the normalisation is forgotten.",
    ),
    Twin(
        "squared width",
        "factor|ratio|term",
        "shape",
        "The normalisation has the squared width; its gradient is that of the width.",
    ),
    Twin(
        "centre sign",
        "sign|ratio",
        "centre",
        "The star's position has the sign of the pixels' positions.",
    ),
    narrow=False,
)
def moffat_profile(slip):
    def pieces(centre, shape, size):
        y = jnp.arange(size[0]) - (size[0] - 1) / 2 - centre[0]
        x = jnp.arange(size[1]) - (size[1] - 1) / 2 - centre[1]
        width2 = jnp.exp(2 * shape["log_width"])
        ratio = (y[:, None] ** 2 + x**2) / width2
        beta = jnp.maximum(shape["beta"], 1.05)
        profile = (beta - 1) / (jnp.pi * width2) * jnp.exp(-beta * jnp.log1p(ratio))
        return y, x, width2, ratio, beta, profile

    def plain(centre, flux, shape, size):
        return flux * pieces(centre, shape, size)[-1]

    draw_star = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(centre, flux, shape, size):
        return plain(centre, flux, shape, size), (centre, flux, shape)

    def bwd(size, res, g):
        centre, flux, shape = res
        y, x, width2, ratio, beta, profile = pieces(centre, shape, size)
        dlog = flux * g * profile
        dratio = -beta * dlog / (1 + ratio)
        pull = -2 * dratio / width2
        if slip == "centre sign":
            pull = -pull
        dcentre = jnp.stack([(pull * y[:, None]).sum(), (pull * x).sum()])
        two = 1 if slip == "squared width" else 2
        dwidth = -2 * (dratio * ratio).sum() - two * dlog.sum()
        dbeta = -(dlog * jnp.log1p(ratio)).sum()
        if slip != "normalisation":
            dbeta = dbeta + dlog.sum() / (beta - 1)
        dbeta = jnp.where(shape["beta"] > 1.05, dbeta, 0)
        return dcentre, (g * profile).sum(), {"log_width": dwidth, "beta": dbeta}

    draw_star.defvjp(fwd, bwd)
    return draw_star, plain
