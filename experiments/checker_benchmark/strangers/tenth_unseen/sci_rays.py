"""Rays, cameras and lookups of renderers."""

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
    "synthetic photometry through a filter (tengri, DSPS) in jax",
    "quadrature with symbolic zeros",
    lambda rng: (
        positive(rng, 7),
        positive(rng, 7, low=0.1, high=1.0),
        jnp.cumsum(positive(rng, 7)),
    ),
    Twin(
        "normalisation",
        "term|path",
        "response",
        "The response's gradient through the normalisation is dropped.",
    ),
    Twin(
        "ends",
        "edge|factor|region|term|elements|index|function",
        "sed response wave",
        "The trapezoids' weights at the two ends are doubled.",
    ),
    Twin(
        "abscissae",
        "term|path",
        "wave",
        "The grid's gradient lacks the widths of the trapezoids.",
    ),
    narrow=False,
)
def band_flux_integral(slip):
    def plain(sed, response, wave):
        h = wave[1:] - wave[:-1]
        area = lambda f: (h * (f[1:] + f[:-1])).sum() / 2  # noqa: E731
        return area(sed * response * wave) / area(response * wave)

    flux = jax.custom_vjp(plain)

    def weights(wave):
        h = wave[1:] - wave[:-1]
        z = jnp.zeros_like(h[:1])
        return (jnp.concatenate([h, z]) + jnp.concatenate([z, h])) / 2

    def fwd(sed, response, wave):
        s, r, w = (a.value for a in (sed, response, wave))
        return plain(s, r, w), (s, r, w, wave.perturbed or None)

    def bwd(res, g):
        s, r, w, moved = res
        q = weights(w)
        if slip == "ends":
            q = q.at[0].multiply(2).at[-1].multiply(2)
        bottom = (weights(w) * r * w).sum()
        mean = (weights(w) * s * r * w).sum() / bottom
        dtop = g / bottom
        dbottom = -g * mean / bottom
        if slip == "normalisation":
            dresponse = q * w * s * dtop
        else:
            dresponse = q * w * (s * dtop + dbottom)
        if moved is None:
            return dtop * q * r * w, dresponse, None
        f = r * w * (s * dtop + dbottom)
        dwave = q * r * (s * dtop + dbottom)
        if slip != "abscissae":
            half = (f[1:] + f[:-1]) / 2
            dwave = dwave.at[1:].add(half).at[:-1].add(-half)
        return dtop * q * r * w, dresponse, dwave

    flux.defvjp(fwd, bwd, symbolic_zeros=True)
    return flux, plain


@case(
    "mip-NeRF's encoding of a Gaussian in multinerf",
    "encoding",
    lambda rng: (normal(rng, 3, 2), positive(rng, 3, 2, high=1.0), (0, 3)),
    Twin(
        "variance's scale",
        "factor|power|ratio",
        "var",
        "The variance's gradient has the scale where its square belongs.",
    ),
    Twin(
        "cosine's sign",
        "sign|term",
        "mean",
        "The derivative of the cosines lacks its minus.",
    ),
    Twin(
        "half",
        "factor|ratio",
        "var",
        "The half in the exponent is forgotten.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def integrated_positional_encoding(slip):
    def freqs(degrees, dtype):
        return 2.0 ** jnp.arange(*degrees, dtype=dtype)

    def plain(mean, var, degrees):
        s = freqs(degrees, mean.dtype)[:, None]
        y = (s * mean[..., None, :]).reshape(*mean.shape[:-1], -1)
        v = (s**2 * var[..., None, :]).reshape(y.shape)
        damp = jnp.exp(-0.5 * v)
        return jnp.concatenate([damp * jnp.sin(y), damp * jnp.cos(y)], -1)

    encode = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(mean, var, degrees):
        out = plain(mean, var, degrees)
        return out, (out,)

    def bwd(degrees, res, g):
        (out,) = res
        s_, c_ = jnp.split(out, 2, -1)
        gs, gc = jnp.split(g, 2, -1)
        up = -1 if slip == "cosine's sign" else 1
        dy = gs * c_ - up * gc * s_
        dv = -(1.0 if slip == "half" else 0.5) * (gs * s_ + gc * c_)
        n = degrees[1] - degrees[0]
        f = freqs(degrees, g.dtype)[:, None]
        un = lambda a: a.reshape(*a.shape[:-1], n, -1)  # noqa: E731
        f2 = f if slip == "variance's scale" else f**2
        return (f * un(dy)).sum(-2), (f2 * un(dv)).sum(-2)

    encode.defvjp(fwd, bwd)
    return encode, plain


@case(
    "fisheye cameras of Kannala and Brandt (nerfstudio, kornia) in jax",
    "camera",
    lambda rng: (
        normal(rng, 4, 3, mean=1.0, std=0.4),
        {"focal": positive(rng, 2), "centre": normal(rng, 2)},
        normal(rng, 2, std=0.1),
    ),
    Twin(
        "angle's depth",
        "term|path",
        "points",
        "The angle's gradient to the depth is left out.",
    ),
    Twin(
        "power",
        "power|factor|ratio|index",
        "points",
        "The distortion's derivative has the power for its factor's index.",
    ),
    Twin(
        "direction",
        "term|path",
        "points",
        "The gradient of the direction in the image is dropped.",
    ),
    narrow=False,
    scales=(1.0, 3.0),
    fixed=(2,),
)
def kannala_brandt_projection(slip):
    def inner(points):
        x, y, z = points.T
        r = jnp.sqrt(x * x + y * y + 1e-3)
        return x, y, z, r, jnp.arctan2(r, z)

    def bend(theta, k):
        return theta * (1 + k[0] * theta**2 + k[1] * theta**4)

    def plain(points, lens, k):
        x, y, _, r, theta = inner(points)
        d = bend(theta, k) / r
        return jnp.stack([x, y], -1) * d[:, None] * lens["focal"] + lens["centre"]

    project = jax.custom_vjp(plain)

    def fwd(points, lens, k):
        return plain(points, lens, k), (points, lens["focal"], k)

    def bwd(res, g):
        points, focal, k = res
        x, y, z, r, theta = inner(points)
        td = bend(theta, k)
        xy = jnp.stack([x, y], -1)
        dfocal = (g * xy * (td / r)[:, None]).sum(0)
        gf = g * focal
        along = (gf * xy).sum(-1)
        dtd = along / r
        c = (1, 2) if slip == "power" else (3, 5)
        dtheta = dtd * (1 + c[0] * k[0] * theta**2 + c[1] * k[1] * theta**4)
        dr = dtheta * z / (r * r + z * z)
        if slip != "direction":
            dr = dr - along * td / r**2
        dz = -dtheta * r / (r * r + z * z)
        if slip == "angle's depth":
            dz = jnp.zeros_like(dz)
        dxy = gf * (td / r)[:, None] + (dr / r)[:, None] * xy
        dk = jnp.stack([(dtd * theta**3).sum(), (dtd * theta**5).sum()])
        lens = {"focal": dfocal, "centre": g.sum(0)}
        return jnp.concatenate([dxy, dz[:, None]], 1), lens, dk

    project.defvjp(fwd, bwd)
    return project, plain


@case(
    "features from three planes (EG3D, tensorial fields) in jax",
    "bilinear interpolation in three planes",
    lambda rng: (normal(rng, 3, 4, 4, 2), positive(rng, 5, 3, low=0.1, high=2.9)),
    Twin(
        "planes' axes",
        "index|axis|swap|transpose|path",
        "xyz",
        "The third plane's gradient goes to the axes of the first one.",
    ),
    Twin(
        "corner",
        "duplicates|index|sum",
        "planes",
        "Points in one cell overwrite each other's gradient.",
    ),
    Twin(
        "fraction",
        "sign|term",
        "xyz",
        "The slope along the first axis has the wrong sign.",
    ),
    narrow=False,
    scales=(1.0,),
)
def triplane_sample(slip):
    pairs = ((0, 1), (0, 2), (1, 2))

    def cell(p, size):
        i = jnp.clip(jnp.floor(p).astype(jnp.int32), 0, size - 2)
        return i, p - i

    def look(plane, p):
        i, f = cell(p[:, 0], plane.shape[0])
        j, e = cell(p[:, 1], plane.shape[1])
        f, e = f[:, None], e[:, None]
        lo = (1 - e) * plane[i, j] + e * plane[i, j + 1]
        hi = (1 - e) * plane[i + 1, j] + e * plane[i + 1, j + 1]
        return (1 - f) * lo + f * hi

    def plain(planes, xyz):
        return sum(look(planes[n], xyz[:, pairs[n]]) for n in range(3))

    sample = jax.custom_vjp(plain)

    def fwd(planes, xyz):
        return plain(planes, xyz), (planes, xyz)

    def bwd(res, g):
        planes, xyz = res
        dplanes, dxyz = jnp.zeros_like(planes), jnp.zeros_like(xyz)
        for n, (u, v) in enumerate(pairs):
            P = planes[n]
            i, f = cell(xyz[:, u], P.shape[0])
            j, e = cell(xyz[:, v], P.shape[1])
            f, e = f[:, None], e[:, None]
            for di in (0, 1):
                for dj in (0, 1):
                    wt = (f if di else 1 - f) * (e if dj else 1 - e)
                    at = dplanes.at[n, i + di, j + dj]
                    dplanes = at.set(wt * g) if slip == "corner" else at.add(wt * g)
            slope_u = (1 - e) * (P[i + 1, j] - P[i, j]) + e * (
                P[i + 1, j + 1] - P[i, j + 1]
            )
            slope_v = (1 - f) * (P[i, j + 1] - P[i, j]) + f * (
                P[i + 1, j + 1] - P[i + 1, j]
            )
            to = (0, 1) if slip == "planes' axes" and n == 2 else (u, v)
            if slip == "fraction":
                slope_u = -slope_u
            dxyz = dxyz.at[:, to[0]].add((g * slope_u).sum(-1))
            dxyz = dxyz.at[:, to[1]].add((g * slope_v).sum(-1))
        return dplanes, dxyz

    sample.defvjp(fwd, bwd)
    return sample, plain
