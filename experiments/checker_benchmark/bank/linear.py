"""Products of arguments: each gradient is the cotangent times the other factors."""

import jax.numpy as jnp

from experiments.checker_benchmark.bank.record import normal, record, sizes


def linear(x, w, b):
    return x @ w + b


def linear_fwd(x, w, b):
    return linear(x, w, b), (x, w)


def linear_bwd(res, dy):
    x, w = res
    return dy @ w.T, x.T @ dy, dy.sum(0)


def square_linear(x, w):
    return x @ w


def square_linear_fwd(x, w):
    return x @ w, (x, w)


def square_linear_bwd(res, dy):
    x, w = res
    return dy @ w.T, x.T @ dy


def bilinear(a, w, b):
    return jnp.einsum("ni,oij,nj->no", a, w, b)


def bilinear_fwd(a, w, b):
    return bilinear(a, w, b), (a, w, b)


def bilinear_bwd(res, dy):
    a, w, b = res
    da = jnp.einsum("no,oij,nj->ni", dy, w, b)
    dw = jnp.einsum("no,ni,nj->oij", dy, a, b)
    return da, dw, jnp.einsum("no,ni,oij->nj", dy, a, w)


def outer(a, b):
    return a[:, None] * b[None, :]


def outer_fwd(a, b):
    return outer(a, b), (a, b)


def outer_bwd(res, dy):
    a, b = res
    return dy @ b, dy.T @ a


def conv1d(x, w):
    """x [N, T, C], w [K, C, O] -> [N, T - K + 1, O], no padding."""
    return jnp.einsum("ntkc,kco->nto", _windows(x, w.shape[0]), w)


def _windows(x, K):
    steps = x.shape[1] - K + 1
    return jnp.stack([x[:, k : k + steps] for k in range(K)], axis=2)


def conv1d_fwd(x, w):
    return conv1d(x, w), (x, w)


def conv1d_bwd(res, dy):
    x, w = res
    K, steps = w.shape[0], dy.shape[1]
    dwindows = jnp.einsum("nto,kco->ntkc", dy, w)
    dw = jnp.einsum("ntkc,nto->kco", _windows(x, K), dy)
    dx = jnp.zeros_like(x)
    for k in range(K):
        dx = dx.at[:, k : k + steps].add(dwindows[:, :, k])
    return dx, dw


def low_rank(x, w, a, b, scale):
    return x @ w + scale * (x @ a) @ b


def low_rank_fwd(x, w, a, b, scale):
    return low_rank(x, w, a, b, scale), (x, w, a, b)


def low_rank_bwd(scale, res, dy):
    x, w, a, b = res
    dh = scale * dy @ b.T
    return dy @ w.T + dh @ a.T, x.T @ dy, x.T @ dh, scale * (x @ a).T @ dy


def scale_shift(x, gain, bias):
    return x * gain + bias


def scale_shift_fwd(x, gain, bias):
    return scale_shift(x, gain, bias), (x, gain)


def scale_shift_bwd(res, dy):
    x, gain = res
    return dy * gain, (dy * x).sum((0, 1)), dy.sum((0, 1))


RULES = (
    record(
        linear,
        linear_fwd,
        linear_bwd,
        normal("N D", "D H", "H"),
        sizes("N=5 D=3 H=7"),
        sizes("N=1 D=4 H=2"),
        source="Rumelhart et al. 1986",
    ),
    record(
        square_linear,
        square_linear_fwd,
        square_linear_bwd,
        normal("N D", "D D"),
        sizes("N=3 D=5"),
        sizes("N=4 D=4"),
        source="a linear map of a space to itself",
    ),
    record(
        bilinear,
        bilinear_fwd,
        bilinear_bwd,
        normal("N I", "O I J", "N J"),
        sizes("N=5 I=3 J=4 O=2"),
        sizes("N=3 I=3 J=3 O=3"),
        source="Tenenbaum, Freeman 2000",
    ),
    record(
        outer,
        outer_fwd,
        outer_bwd,
        normal("N", "D"),
        sizes("N=5 D=3"),
        sizes("N=4 D=4"),
        source="outer product",
    ),
    record(
        conv1d,
        conv1d_fwd,
        conv1d_bwd,
        normal("N T C", "K C O"),
        sizes("N=2 T=7 C=3 K=3 O=4"),
        sizes("N=1 T=5 C=2 K=2 O=2"),
        source="LeCun et al. 1989",
    ),
    record(
        low_rank,
        low_rank_fwd,
        low_rank_bwd,
        normal("N D", "D H", "D R", "R H"),
        sizes("N=5 D=4 H=3 R=2", 0.5),
        sizes("N=3 D=3 H=3 R=3", 2.0),
        static=1,
        source="Hu et al. 2021, arXiv:2106.09685",
    ),
    record(
        scale_shift,
        scale_shift_fwd,
        scale_shift_bwd,
        normal("N T D", "D", "D"),
        sizes("N=2 T=5 D=3"),
        sizes("N=3 T=3 D=3"),
        source="per-feature affine map",
    ),
)
