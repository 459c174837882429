"""An example's jaxpr run in NumPy, its random bits by one program for all shapes.

XLA compiles the drawing of some normal numbers for a tenth of a second, once a shape,
and a check draws at some ten of them. In JAX's partitionable threefry the i-th number
of a draw is made of the key and i alone: a short draw is the beginning of a long one.
A key is carried as one uint64, so that arrays of keys are sliced like all others.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import TWINS
from jaxninja.jaxpr import CALLS, body, opened, run

ENTRIES, KEYS = 4096, 64  # drawn at once; more are left to XLA
PREFIXES = "jax_threefry_partitionable"  # the setting under which draws are prefixes


class _Unlike(Exception):
    """What NumPy would make is none that JAX makes."""


def in_numpy(closed) -> Callable | None:
    """`key -> flat outputs` as the jaxpr has it; None where NumPy cannot say."""
    if not (_threefry(closed) and getattr(jax.config, PREFIXES)):
        return None

    def draw(key) -> list:
        with np.errstate(all="ignore"):
            outs = _run(closed, [_number(jax.random.key_data(key))])
        pairs = zip(outs, closed.jaxpr.outvars, strict=True)
        return [_as_traced(out, var.aval) for out, var in pairs]

    try:
        draw(jax.random.key(0))
    except Exception:  # a primitive without a twin, too many entries, another type
        return None
    return draw


def _threefry(closed) -> bool:
    (key,) = closed.jaxpr.invars
    return key.aval.dtype == jax.random.key(0, impl="threefry2x32").dtype


def _run(closed, args: list) -> list:
    jaxpr, consts = opened(closed)
    return run(jaxpr, consts, args, _step, _literal)


def _literal(literal):
    return np.asarray(literal.val, literal.aval.dtype)


def _step(eqn, operands: list) -> list:
    if eqn.primitive in CALLS:
        return _run(body(eqn), operands)
    name = eqn.primitive.name
    out = (_DRAWING if name in _DRAWING else TWINS)[name](eqn.params, *operands)
    return out if isinstance(out, list) else [out]


def _as_traced(out, aval):
    """On the device, as the type that JAX would give; keys as keys."""
    if jnp.issubdtype(aval.dtype, jax.dtypes.prng_key):
        words = jax.device_put(_words(out))
        return jax.random.wrap_key_data(words, impl="threefry2x32")
    out = jax.device_put(np.asarray(out))  # jnp.asarray would compile a program a shape
    if (out.shape, out.dtype) != (aval.shape, aval.dtype):
        raise _Unlike(f"{out.dtype}{out.shape} in place of {aval}")
    return out


def _number(words) -> np.ndarray:
    return np.ascontiguousarray(words).view(np.uint64)[..., 0]


def _words(number) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(number)[..., None]).view(np.uint32)


def _of_key(f: Callable) -> Callable:
    """`f` of a typed key as a compiled function of its words."""
    return jax.jit(lambda words, *a: f(jax.random.wrap_key_data(words), *a))


# compiled at the first call
_BITS = {
    width: _of_key(partial(jax.random.bits, shape=(ENTRIES,), dtype=f"uint{width}"))
    for width in (8, 16, 32, 64)
}
_SPLIT = _of_key(lambda key: jax.random.key_data(jax.random.split(key, KEYS)))
_FOLD_IN = _of_key(lambda key, i: jax.random.key_data(jax.random.fold_in(key, i)))


def _first(drawn, shape: tuple) -> np.ndarray:
    count = int(np.prod(shape))
    if count > len(drawn):
        raise _Unlike(f"{count} random numbers, more than {len(drawn)}")
    return np.asarray(drawn)[:count].reshape((*shape, *drawn.shape[1:]))


def _random_bits(params, key):
    return _first(_BITS[params["bit_width"]](_words(key)), params["shape"])


def _random_split(params, key):
    return _number(_first(_SPLIT(_words(key)), params["shape"]))


def _random_fold_in(params, key, number):
    return _number(_FOLD_IN(_words(key), number))


def _bitcast(params, a):
    return np.ascontiguousarray(a).view(params["new_dtype"]).reshape(np.shape(a))


_DRAWING = {  # besides TWINS: keys, and what makes numbers of bits
    "random_bits": _random_bits,
    "random_split": _random_split,
    "random_fold_in": _random_fold_in,
    "random_wrap": lambda params, words: _number(words),
    "random_unwrap": lambda params, key: _words(key),
    "bitcast_convert_type": _bitcast,
    "shift_right_logical": lambda params, a, by: np.right_shift(a, by),
    "shift_left": lambda params, a, by: np.left_shift(a, by),
}
