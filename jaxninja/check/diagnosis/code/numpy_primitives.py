"""JAX's primitives in NumPy, to run a small jaxpr thousands of times in a second.

An edit of a backward pass is tried by running what lies downstream of it. On arrays of
some dozens of entries XLA's dispatch, not arithmetic, would take all the time; so each
primitive has a NumPy twin here, `twin(params, *operands)`. What has none is bound.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy import special

from jaxninja.check.diagnosis.code.numpy_indexing import gather, scatter
from jaxninja.check.diagnosis.code.numpy_linear_algebra import (
    cholesky,
    fft,
    lu,
    triangular_solve,
)
from jaxninja.jaxpr import CALLS, bind, body
from jaxninja.jaxpr import run as go_through

INDEXING = (
    *("gather", "scatter", "scatter-add", "scatter_add", "scatter-mul", "scatter_mul"),
)
LONG = 4096  # indices, or multiplications, from which NumPy's loops are the slower


def run(eqn, operands) -> list:
    """Outputs of one equation on NumPy operands."""
    name = eqn.primitive.name
    twin = TWINS.get(name)
    long = name in INDEXING and np.size(operands[1]) > LONG
    if twin is None or long:
        return _bound(eqn, operands)
    out = twin(eqn.params, *operands)
    return out if isinstance(out, list) else [out]


def _bound(eqn, operands) -> list:
    """Outputs by JAX itself, on operands of the traced types only: XLA trusts them."""
    for var, operand in zip(eqn.invars, operands, strict=True):
        same = getattr(operand, "dtype", None) == var.aval.dtype
        if not same or np.shape(operand) != var.aval.shape:
            raise TypeError(f"{eqn.primitive.name} of another type than it was traced")
    outs = bind(eqn, operands)
    return [np.asarray(o) if hasattr(o, "dtype") and _plain(o) else o for o in outs]


def _evaluated(closed, operands) -> list:
    """The results of a jaxpr, each of its equations in NumPy."""

    def step(eqn, ins):
        return _evaluated(body(eqn), ins) if eqn.primitive in CALLS else run(eqn, ins)

    return go_through(closed.jaxpr, closed.consts, operands, step, _value)


def _cond(params, which, *operands) -> list:
    branches = params["branches"]
    k = min(max(int(which), 0), len(branches) - 1)
    return _evaluated(branches[k], list(operands))


def _platform_index(params):
    """Which of the branches that are for some platforms is this one's."""
    backend = jax.default_backend()
    fits = (p is None or backend in p for p in params["platforms"])
    return np.int32(next(k for k, fit in enumerate(fits) if fit))


def _sort(params, *operands) -> list:
    axis, keys = params["dimension"], operands[: params["num_keys"]]
    order = np.lexsort(keys[::-1], axis=axis)
    return [np.take_along_axis(np.asarray(a), order, axis) for a in operands]


def _value(literal):
    return np.asarray(literal.val, getattr(literal.aval, "dtype", None))


def _linear_solve(params, *operands) -> list:
    """What a solver with its transpose at its side makes of the right-hand side."""
    counts, solve = params["const_lengths"], params["jaxprs"].solve
    before, count = counts.matvec + counts.vecmat, counts.solve
    rest = operands[before + count + counts.transpose_solve :]
    return _evaluated(solve, [*operands[before : before + count], *rest])


def _plain(array) -> bool:
    """Whether NumPy holds the array: typed PRNG keys stay JAX's."""
    return isinstance(array.dtype, np.dtype)


def _elementwise(f: Callable) -> Callable:
    return lambda params, *operands: f(*operands)


def _reduction(f: Callable) -> Callable:
    return lambda params, a: f(np.asarray(a), axis=tuple(params["axes"]))


def _running(f: Callable) -> Callable:
    def twin(params, a):
        axis = params["axis"]
        a = np.flip(a, axis) if params["reverse"] else a
        out = f(a, axis=axis)
        return np.flip(out, axis) if params["reverse"] else out

    return twin


def _broadcast_in_dim(params, a, *_):
    shape, dims = params["shape"], params["broadcast_dimensions"]
    laid = [1] * len(shape)
    for axis, dim in enumerate(dims):
        laid[dim] = np.shape(a)[axis]
    return np.broadcast_to(np.reshape(a, laid), shape)


def _dot_general(params, a, b):
    (ca, cb), (ba, bb) = params["dimension_numbers"]
    free_a = [i for i in range(np.ndim(a)) if i not in (*ca, *ba)]
    free_b = [i for i in range(np.ndim(b)) if i not in (*cb, *bb)]
    name_a, name_b = list(range(np.ndim(a))), [100 + i for i in range(np.ndim(b))]
    for i, j in zip((*ca, *ba), (*cb, *bb), strict=True):
        name_b[j] = name_a[i]
    kept = [name_a[i] for i in (*ba, *free_a)] + [name_b[j] for j in free_b]
    order = {name: k for k, name in enumerate(dict.fromkeys(name_a + name_b))}
    short = [[order[n] for n in names] for names in (name_a, name_b, kept)]
    large = np.size(a) * np.size(b) > LONG**2
    return np.einsum(a, short[0], b, short[1], short[2], optimize=large)


def _select_n(params, which, *cases):
    which = np.asarray(which)
    if len(cases) == 2:
        return np.where(which.astype(bool), cases[1], cases[0])
    return np.choose(np.broadcast_to(which, np.shape(cases[0])), cases)


def _pad(params, a, value):
    a, config = np.asarray(a), params["padding_config"]
    shape = [
        lo + hi + max(n + (n - 1) * gap, 0)
        for n, (lo, hi, gap) in zip(a.shape, config, strict=True)
    ]
    if any(lo < 0 or hi < 0 for lo, hi, _ in config):
        grown = [(max(lo, 0), max(hi, 0), gap) for lo, hi, gap in config]
        cut = tuple(slice(max(-lo, 0), None if hi >= 0 else hi) for lo, hi, _ in config)
        return _pad({"padding_config": grown}, a, value)[cut]
    out = np.full(shape, value, a.dtype)
    inner = tuple(
        slice(lo, lo + (n - 1) * (gap + 1) + 1 if n else lo, gap + 1)
        for n, (lo, _, gap) in zip(a.shape, config, strict=True)
    )
    out[inner] = a
    return out


def _slice(params, a):
    strides = params["strides"] or (1,) * np.ndim(a)
    where = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return a[tuple(slice(*w) for w in where)]


def _window(starts, sizes, shape) -> tuple:
    """The slices of a dynamic slice: starts are clamped so that it fits."""
    fits = [
        max(0, min(int(s), n - k)) for s, k, n in zip(starts, sizes, shape, strict=True)
    ]
    return tuple(slice(s, s + k) for s, k in zip(fits, sizes, strict=True))


def _dynamic_slice(params, a, *starts):
    return a[_window(starts, params["slice_sizes"], a.shape)]


def _dynamic_update_slice(params, a, update, *starts):
    out = np.array(a)
    out[_window(starts, update.shape, out.shape)] = update
    return out


def _iota(params, *_):
    shape, dim = params["shape"], params["dimension"]
    laid = [-1 if i == dim else 1 for i in range(len(shape))]
    line = np.arange(shape[dim], dtype=params["dtype"]).reshape(laid)
    return np.broadcast_to(line, shape)


def _arg(f: Callable) -> Callable:
    return lambda p, a: f(a, axis=p["axes"][0]).astype(p["index_dtype"])


def _split(params, a):
    ends = np.cumsum(params["sizes"])[:-1]
    return np.split(a, ends, axis=params["axis"])


def _convert(params, a):
    to_real = np.iscomplexobj(a) and np.dtype(params["new_dtype"]).kind != "c"
    return np.asarray(np.real(a) if to_real else a).astype(params["new_dtype"])


def _reshape(params, a, *_):
    dims = params.get("dimensions")
    return np.reshape(a if dims is None else np.transpose(a, dims), params["new_sizes"])


def _rsqrt(a):
    return 1 / np.sqrt(a)


TWINS: dict[str, Callable[..., Any]] = {
    name: _elementwise(f)
    for name, f in {
        "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply,
        "div": lambda a, b: np.divide(a, b) if np.result_type(a).kind in "fc"
        else np.trunc(np.divide(a, b)).astype(np.result_type(a)),
        "neg": np.negative, "abs": np.abs, "sign": np.sign, "max": np.maximum,
        "min": np.minimum, "pow": np.power, "rem": np.fmod, "exp": np.exp,
        "exp2": np.exp2, "log": np.log, "log1p": np.log1p, "expm1": np.expm1,
        "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
        "sinh": np.sinh, "cosh": np.cosh, "asin": np.arcsin, "acos": np.arccos,
        "atan": np.arctan, "atan2": np.arctan2, "asinh": np.arcsinh,
        "acosh": np.arccosh, "atanh": np.arctanh, "logistic": special.expit,
        "erf": special.erf, "erfc": special.erfc, "lgamma": special.gammaln,
        "digamma": special.digamma, "erf_inv": special.erfinv, "sqrt": np.sqrt,
        "rsqrt": _rsqrt, "cbrt": np.cbrt, "square": np.square, "floor": np.floor,
        "ceil": np.ceil, "is_finite": np.isfinite, "gt": np.greater,
        "ge": np.greater_equal, "lt": np.less, "le": np.less_equal, "eq": np.equal,
        "ne": np.not_equal, "and": np.bitwise_and, "or": np.bitwise_or,
        "xor": np.bitwise_xor, "not": np.invert, "real": np.real, "imag": np.imag,
        "conj": np.conj, "complex": lambda a, b: a + 1j * b,
        "clamp": lambda lo, a, hi: np.minimum(np.maximum(a, lo), hi),
        "stop_gradient": np.asarray, "copy": np.asarray, "copy_p": np.asarray,
        "name": np.asarray,
        "optimization_barrier": lambda *operands: list(operands),
        "pvary": lambda *operands: list(operands),
    }.items()
} | {
    "integer_pow": lambda p, a: np.asarray(a) ** float(p["y"]) if p["y"] < 0
    else np.power(a, p["y"]),
    "reduce_sum": _reduction(np.sum), "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min), "reduce_prod": _reduction(np.prod),
    "reduce_and": _reduction(np.all), "reduce_or": _reduction(np.any),
    "argmax": _arg(np.argmax), "argmin": _arg(np.argmin),
    "cumsum": _running(np.cumsum), "cumprod": _running(np.cumprod),
    "cummax": _running(np.maximum.accumulate),
    "cummin": _running(np.minimum.accumulate),
    "cumlogsumexp": _running(np.logaddexp.accumulate),
    "broadcast_in_dim": _broadcast_in_dim, "dot_general": _dot_general,
    "select_n": _select_n, "pad": _pad, "slice": _slice, "reshape": _reshape,
    "dynamic_slice": _dynamic_slice, "dynamic_update_slice": _dynamic_update_slice,
    "iota": _iota, "split": _split, "convert_element_type": _convert,
    "transpose": lambda p, a: np.transpose(a, p["permutation"]),
    "squeeze": lambda p, a: np.squeeze(a, tuple(p["dimensions"])),
    "expand_dims": lambda p, a: np.expand_dims(a, tuple(p["dimensions"])),
    "rev": lambda p, a: np.flip(a, tuple(p["dimensions"])),
    "concatenate": lambda p, *parts: np.concatenate(parts, axis=p["dimension"]),
    "unstack": lambda p, a: [*np.moveaxis(a, p["axis"], 0)],
    "stack": lambda p, *parts: np.stack(parts, axis=p["axis"]),
    "reduce_precision": lambda p, a: a,
    "scan_entry": lambda p, a: a[p["index"]],  # of a scan that is written out
    "scan_stack": lambda p, *parts: np.stack(parts),
    "gather": gather, "scatter": scatter, "scatter-add": scatter,
    "scatter_add": scatter, "scatter-mul": scatter, "scatter_mul": scatter,
    "triangular_solve": triangular_solve, "cholesky": cholesky, "lu": lu, "fft": fft,
    "custom_linear_solve": _linear_solve, "cond": _cond, "sort": _sort,
    "platform_index": _platform_index,
}  # fmt: skip
