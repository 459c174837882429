"""Vectors, directions, interpolation, lookups in space."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "real spherical harmonics of degree 2 in e3nn-jax",
    "equivariant layer",
    lambda rng: (unit_rows(rng, 4, 3),),
    Twin(
        "z's extra term",
        "term|path",
        "r",
        "2 z^2 - x^2 - y^2 as if it were 3 z^2.",
    ),
    Twin(
        "xz and yz exchanged",
        "swap|index|operand",
        "r",
        "Two components change places.",
    ),
    fixed=(),
)
def spherical_harmonics(slip):
    root3 = 3**0.5

    @jax.custom_vjp
    def y2(r):
        x, y, z = r[..., 0], r[..., 1], r[..., 2]
        parts = (
            root3 * x * z,
            root3 * x * y,
            y * y - 0.5 * (x * x + z * z),
            root3 * y * z,
            root3 / 2 * (z * z - x * x),
        )
        return jnp.stack(parts, -1)

    def fwd(r):
        return y2.fun(r), r

    def bwd(r, g):
        x, y, z = r[..., 0], r[..., 1], r[..., 2]
        a, b, c, d, e = (g[..., i] for i in range(5))
        if slip == "xz and yz exchanged":
            a, d = d, a
        side = 0 if slip == "z's extra term" else c
        dx = root3 * (z * a + y * b - x * e) - x * side
        dy = root3 * (x * b + z * d) + 2 * y * c
        dz = root3 * (x * a + y * d + z * e) - z * side
        return (jnp.stack([dx, dy, dz], -1),)

    y2.defvjp(fwd, bwd)
    return y2, y2.fun


@case(
    "safe norms of displacement vectors in jax-md and e3nn-jax",
    "norm",
    draw(r=(4, 3)),
    Twin(
        "zero vectors",
        "edge|nan|finite|mask|predicate|region",
        "r",
        "0 / 0 at a vector of zeros.",
        witness=lambda rng: (normal(rng, 4, 3).at[1].set(0),),
    ),
    Twin(
        "squared", "factor|function|operand|ratio", "r", "The gradient of the square."
    ),
)
def safe_norm(slip):
    @jax.custom_vjp
    def norm(r):
        square = (r * r).sum(-1)
        safe = jnp.where(square > 0, square, 1)
        return jnp.where(square > 0, jnp.sqrt(safe), 0)

    def fwd(r):
        y = norm.fun(r)
        return y, (r, y)

    def bwd(res, g):
        r, y = res
        if slip == "squared":
            return (2 * r * g[..., None],)
        if slip == "zero vectors":
            return (r / y[..., None] * g[..., None],)
        below = jnp.where(y > 0, y, 1)[..., None]
        return (jnp.where(y[..., None] > 0, r / below, 0) * g[..., None],)

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


@case(
    "rotation of a vector by an axis-angle, as in brax and jaxlie",
    "rotation",
    draw(w=(3,), v=(3,)),
    Twin(
        "small angles",
        "edge|nan|finite|mask|predicate|region|operand",
        "w",
        "At no rotation the gradient is 0 / 0.",
        witness=lambda rng: (jnp.zeros(3), normal(rng, 3)),
    ),
    Twin("rotated on", "transpose|sign|function", "v", "dv is turned on, not back."),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(0.5, 1.0),
)
def rodrigues(slip):
    def coefficients(w):
        square = w @ w
        small = square < 1e-6
        safe = jnp.where(small, 1.0, square)
        t = jnp.sqrt(safe)
        a = jnp.where(small, 1 - square / 6, jnp.sin(t) / t)
        b = jnp.where(small, 0.5 - square / 24, (1 - jnp.cos(t)) / safe)
        return a, b

    def plain(w, v):
        a, b = coefficients(w)
        return v + a * jnp.cross(w, v) + b * jnp.cross(w, jnp.cross(w, v))

    @jax.custom_vjp
    def rotate(w, v):
        return plain(w, v)

    def fwd(w, v):
        return plain(w, v), (w, v)

    def bwd(res, g):
        w, v = res
        a, b = coefficients(w)
        square = w @ w
        small = square < 1e-6
        if slip == "small angles":
            small = jnp.zeros_like(small)
        safe = jnp.where(small, 1.0, square)
        t = jnp.sqrt(safe)
        # derivatives of a and b by t^2
        da = jnp.where(small, -1 / 6, (jnp.cos(t) - jnp.sin(t) / t) / (2 * safe))
        db = jnp.where(small, -1 / 24, (jnp.sin(t) / t / 2 - b) / safe)
        wv = jnp.cross(w, v)
        wwv = jnp.cross(w, wv)
        ds = da * (g @ wv) + db * (g @ wwv)
        dw = 2 * ds * w + a * jnp.cross(v, g)
        dw = dw + b * (jnp.cross(wv, g) + jnp.cross(v, jnp.cross(g, w)))
        turn = 1 if slip == "rotated on" else -1
        dv = g + turn * a * jnp.cross(w, g) + b * jnp.cross(w, jnp.cross(w, g))
        return dw, dv

    rotate.defvjp(fwd, bwd)
    return rotate, plain


@case(
    "bilinear sampling of feature maps (dm_pix, spatial transformers)",
    "interpolation",
    lambda rng: (normal(rng, 5, 4, 2), positive(rng, 6, 2, low=0.2, high=2.8)),
    Twin(
        "corners overwrite",
        "duplicates|sum|index",
        "image",
        "Samples in one cell overwrite each other.",
        witness=lambda rng: (
            normal(rng, 5, 4, 2),
            positive(rng, 6, 2, low=1.1, high=1.9),
        ),
    ),
    Twin("coordinates exchanged", "swap|index|transpose", "where", "Rows for columns."),
    fixed=(1,),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def bilinear_sample(slip):
    def corners(where):
        low = jnp.floor(where)
        t = where - low
        i = low.astype(jnp.int32)
        return i[:, 0], i[:, 1], t[:, :1], t[:, 1:]

    @jax.custom_vjp
    def sample(image, where):
        i, j, s, t = corners(where)
        top = (1 - t) * image[i, j] + t * image[i, j + 1]
        low = (1 - t) * image[i + 1, j] + t * image[i + 1, j + 1]
        return (1 - s) * top + s * low

    def fwd(image, where):
        return sample.fun(image, where), (image, where)

    def bwd(res, g):
        image, where = res
        i, j, s, t = corners(where)
        a, b = image[i, j], image[i, j + 1]
        c, d = image[i + 1, j], image[i + 1, j + 1]
        ds = (((1 - t) * (c - a) + t * (d - b)) * g).sum(-1)
        dt = (((1 - s) * (b - a) + s * (d - c)) * g).sum(-1)
        zero = jnp.zeros_like(image)
        spots = ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1))
        weights = ((1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t)
        if slip == "corners overwrite":
            pairs = zip(spots, weights, strict=True)
            dimage = sum(zero.at[at].set(w * g) for at, w in pairs)
        else:
            dimage = zero
            for at, w in zip(spots, weights, strict=True):
                dimage = dimage.at[at].add(w * g)
        pair = (dt, ds) if slip == "coordinates exchanged" else (ds, dt)
        return dimage, jnp.stack(pair, -1)

    sample.defvjp(fwd, bwd)
    return sample, sample.fun


@case(
    "cubic Hermite interpolation of diffrax's controls",
    "interpolation",
    lambda rng: (*draw(y0=(3,), y1=(3,), m0=(3,), m1=(3,))(rng), jnp.float32(0.3)),
    Twin("time's path dropped", "zero|path|term", "t", "No gradient in time."),
    Twin(
        "slopes exchanged",
        "swap|operand|sign",
        "m0 m1",
        "The weights of the slopes are exchanged.",
    ),
    fixed=(4,),
)
def cubic_hermite(slip):
    def basis(t):
        return (2 * t**3 - 3 * t**2 + 1, 3 * t**2 - 2 * t**3, t**3 - 2 * t**2 + t,
                t**3 - t**2)  # fmt: skip

    def slopes(t):
        return (6 * t**2 - 6 * t, 6 * t - 6 * t**2, 3 * t**2 - 4 * t + 1,
                3 * t**2 - 2 * t)  # fmt: skip

    @jax.custom_vjp
    def hermite(y0, y1, m0, m1, t):
        a, b, c, d = basis(t)
        return a * y0 + b * y1 + c * m0 + d * m1

    def fwd(y0, y1, m0, m1, t):
        return hermite.fun(y0, y1, m0, m1, t), (y0, y1, m0, m1, t)

    def bwd(res, g):
        y0, y1, m0, m1, t = res
        a, b, c, d = basis(t)
        if slip == "slopes exchanged":
            c, d = d, c
        da, db, dc, dd = slopes(t)
        dt = (g * (da * y0 + db * y1 + dc * m0 + dd * m1)).sum()
        if slip == "time's path dropped":
            dt = jnp.zeros_like(dt)
        return a * g, b * g, c * g, d * g, dt

    hermite.defvjp(fwd, bwd)
    return hermite, hermite.fun


@case(
    "hash encodings of instant-NGP in JAX",
    "lookup",
    lambda rng: (normal(rng, 8, 2), positive(rng, 5, 2, low=0, high=1), 5),
    Twin(
        "collisions overwrite",
        "duplicates|sum|index",
        "table",
        "Points that share an entry overwrite each other.",
    ),
    Twin(
        "resolution's factor",
        "ratio|factor|option",
        "points",
        "Not times the resolution.",
    ),
    fixed=(1,),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def hash_encoding(slip):
    def cells(points, size, resolution):
        at = points * resolution
        low = jnp.floor(at)
        i = low.astype(jnp.int32)
        spots = [(i[:, 0] + a) ^ ((i[:, 1] + b) * 7) for a in (0, 1) for b in (0, 1)]
        return [s % size for s in spots], at - low

    def weights(t):
        s, t = t[:, 0], t[:, 1]
        return (1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t

    def plain(table, points, resolution):
        spots, t = cells(points, len(table), resolution)
        pairs = zip(spots, weights(t), strict=True)
        return sum(w[:, None] * table[s] for s, w in pairs)

    encode = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(table, points, resolution):
        return plain(table, points, resolution), (table, points)

    def bwd(resolution, res, g):
        table, points = res
        spots, t = cells(points, len(table), resolution)
        dtable = jnp.zeros_like(table)
        for s, w in zip(spots, weights(t), strict=True):
            more = w[:, None] * g
            at = dtable.at[s]
            dtable = at.set(more) if slip == "collisions overwrite" else at.add(more)
        a, b, c, d = ((table[s] * g).sum(-1) for s in spots)
        s, t = t[:, 0], t[:, 1]
        ds = (1 - t) * (c - a) + t * (d - b)
        dt = (1 - s) * (b - a) + s * (d - c)
        scale = 1 if slip == "resolution's factor" else resolution
        return dtable, scale * jnp.stack([ds, dt], -1)

    encode.defvjp(fwd, bwd)
    return encode, plain
