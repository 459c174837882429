"""Envelopes, smoothing that keeps edges, products of vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "scipy.signal.hilbert in JAX: envelopes of audio and ultrasound",
    "spectrum",
    draw(x=(2, 8)),
    Twin(
        "real part",
        "term|path",
        "x",
        "The envelope is taken to depend on the signal itself only.",
    ),
    Twin(
        "other frequencies",
        "sign|transpose|operand|function|index",
        "x",
        "The imaginary part is pulled back by the transform, not by its adjoint.",
    ),
    Twin(
        "odd length",
        "index|region|option|edge|factor|ratio|elements",
        "x",
        "Backward, the last positive frequency of an odd length is not doubled.",
        witness=draw(x=(2, 7)),
    ),
    narrow=False,
)
def analytic_envelope(slip):
    def gains(n, backward=False):
        h = np.zeros(n)
        h[0] = 1
        h[1 : (n + 1) // 2] = 2
        if n % 2 == 0 or (backward and slip == "odd length"):
            h[n // 2] = 1
        return h

    def analytic(x, h):
        return jnp.fft.ifft(jnp.fft.fft(x) * jnp.asarray(h, x.real.dtype))

    def size(a):
        return jnp.sqrt(a.real**2 + a.imag**2 + 1e-10)

    @jax.custom_vjp
    def envelope(x):
        return size(analytic(x, gains(x.shape[-1])))

    def fwd(x):
        a = analytic(x, gains(x.shape[-1]))
        return size(a), a

    def bwd(a, g):
        towards = g / size(a) * a
        if slip == "real part":
            return (towards.real,)
        if slip == "other frequencies":
            towards = towards.conj()
        return (analytic(towards, gains(g.shape[-1], True)).real,)

    envelope.defvjp(fwd, bwd)
    return envelope, envelope.fun


@case(
    "bilateral filters of kornia, as ported to JAX, along scan lines",
    "smoothing",
    lambda rng: (normal(rng, 3, 7), jnp.float32(1.0), 2, 1.5),
    Twin(
        "weights held",
        "term|path",
        "x width",
        "That the weights depend on the values is left out.",
    ),
    Twin(
        "centre",
        "term|path",
        "x",
        "That the weights depend on the value in the middle is left out.",
    ),
    Twin(
        "sum of the weights",
        "term|path",
        "x width",
        "That one divides by the sum of the weights is left out.",
    ),
    fixed=(1,),
    narrow=False,
)
def bilateral_smoothing(slip):
    def neighbours(x, reach, spread):
        """Values around each sample, and their weights by distance, 0 outside."""
        n = x.shape[-1]
        steps = np.arange(-reach, reach + 1)
        place = np.arange(n)[:, None] + steps
        inside = (place >= 0) & (place < n)
        near = np.where(inside, np.exp(-0.5 * (steps / spread) ** 2), 0)
        place = np.clip(place, 0, n - 1)
        return x[..., place], jnp.asarray(near, x.dtype), place

    def weigh(x, width, reach, spread):
        values, near, place = neighbours(x, reach, spread)
        gaps = values - x[..., None]
        weights = near * jnp.exp(-0.5 * (gaps / width) ** 2)
        total = weights.sum(-1)
        return values, gaps, weights, total, (weights * values).sum(-1) / total, place

    def plain(x, width, reach, spread):
        return weigh(x, width, reach, spread)[4]

    smooth = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, width, reach, spread):
        return plain(x, width, reach, spread), (x, width)

    def bwd(reach, spread, res, g):
        x, width = res
        values, gaps, weights, total, y, place = weigh(x, width, reach, spread)
        share = (g / total)[..., None] * weights
        dweights = share * (values - y[..., None])
        if slip == "sum of the weights":
            dweights = share * values
        if slip == "weights held":
            dweights = jnp.zeros_like(dweights)
        dgaps = -dweights * gaps / width**2
        dx = jnp.zeros_like(x).at[..., place].add(share + dgaps)
        if slip != "centre":
            dx = dx - dgaps.sum(-1)
        return dx, (dweights * gaps**2).sum() / width**3

    smooth.defvjp(fwd, bwd)
    return smooth, plain


I, J, K = np.indices((3, 3, 3))
LEVI_CIVITA = (I - J) * (J - K) * (K - I) / 2


def basis():
    """Couplings of two vectors to a scalar, a vector and five of degree 2."""
    s, t = 2**-0.5, 6**-0.5
    two = np.zeros((5, 3, 3))
    for row, (i, j) in enumerate([(0, 1), (1, 2), (0, 2)]):
        two[row, i, j] = two[row, j, i] = s
    two[3] = np.diag([s, -s, 0])
    two[4] = np.diag([-t, -t, 2 * t])
    return np.eye(3)[None] * 3**-0.5, LEVI_CIVITA * s, two


@case(
    "tensor products of e3nn-jax: two vectors, a weight for each path",
    "equivariant layer",
    draw(x=(4, 3), y=(4, 3), weights=(4, 3)),
    Twin(
        "antisymmetric path",
        "sign|term|transpose|operand",
        "y",
        "The second vector's part of the cross product has the sign of the first's.",
    ),
    Twin(
        "paths' weights",
        "factor|operand|ratio",
        "x",
        "The first vector's gradient does not have the weights.",
    ),
    Twin(
        "mean of the components",
        "ratio|factor|sum",
        "weights",
        "A weight's gradient is the mean over the components of its path.",
    ),
)
def clebsch_gordan_product(slip):
    def couple(x, y):
        return [
            jnp.einsum("kij,ni,nj->nk", jnp.asarray(c, x.dtype), x, y) for c in basis()
        ]

    @jax.custom_vjp
    def product(x, y, weights):
        paths = couple(x, y)
        return jnp.concatenate(
            [p * weights[:, i, None] for i, p in enumerate(paths)], -1
        )

    def fwd(x, y, weights):
        return product.fun(x, y, weights), (x, y, weights)

    def bwd(res, g):
        x, y, weights = res
        dx, dy, dweights = jnp.zeros_like(x), jnp.zeros_like(y), []
        parts = jnp.split(g, [1, 4], -1)
        for i, (c, path, dpath) in enumerate(
            zip(basis(), couple(x, y), parts, strict=True)
        ):
            c = jnp.asarray(c, x.dtype)
            weighed = dpath * weights[:, i, None]
            for_x = dpath if slip == "paths' weights" else weighed
            dx = dx + jnp.einsum("kij,nk,nj->ni", c, for_x, y)
            order = "kji" if slip == "antisymmetric path" else "kij"
            dy = dy + jnp.einsum(f"{order},nk,ni->nj", c, weighed, x)
            inner = (path * dpath).sum(-1)
            if slip == "mean of the components":
                inner = inner / path.shape[-1]
            dweights.append(inner)
        return dx, dy, jnp.stack(dweights, -1)

    product.defvjp(fwd, bwd)
    return product, product.fun
