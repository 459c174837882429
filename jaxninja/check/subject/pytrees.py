"""Float leaves of pytrees: what has a gradient, its name, its precision."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.errors import ArgumentTypeError

NO_NUMBERS = tuple("OUSMm")  # kinds of NumPy dtypes
LARGE = 1 << 18  # entries of an array, from which on it is not copied for nothing
KEEP = "keep"  # the dtype of a leaf that is no float


def is_float(leaf) -> bool:
    """Whether a leaf can have a gradient: real or complex, no integer, no PRNG key."""
    dtype = jax.dtypes.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def float_leaves(tree) -> list:
    return [leaf for leaf in jax.tree.leaves(tree) if is_float(leaf)]


def with_floats(tree, floats: Sequence) -> Any:
    """The tree with its float leaves replaced, in order."""
    leaves, structure = jax.tree.flatten(tree)
    rest = iter(floats)
    return jax.tree.unflatten(
        structure, [next(rest) if is_float(leaf) else leaf for leaf in leaves]
    )


def names(args: tuple, argument_names: Sequence[str]) -> tuple[str, ...]:
    """Name of each float leaf: "x", or "params['W']" within a pytree."""
    found = []
    for name, arg in zip(argument_names, args, strict=True):
        pairs = jax.tree_util.tree_flatten_with_path(arg)[0]
        found += [name + jax.tree_util.keystr(p) for p, a in pairs if is_float(a)]
    return tuple(found)


def all_names(args: tuple, argument_names: Sequence[str]) -> list[str]:
    """Name of each leaf, integers included."""
    return [
        name + jax.tree_util.keystr(path)
        for name, arg in zip(argument_names, args, strict=True)
        for path, _ in jax.tree_util.tree_leaves_with_path(arg)
    ]


def refuse_what_holds_no_numbers(args: tuple, argument_names: Sequence[str]) -> None:
    """Strings, dates, objects."""
    named = all_names(args, argument_names)
    for name, leaf in zip(named, jax.tree.leaves(args), strict=True):
        is_text = isinstance(leaf, str | bytes)
        kind = "U" if is_text else getattr(getattr(leaf, "dtype", None), "kind", "")
        if kind in NO_NUMBERS:
            raise ArgumentTypeError(
                f"check_vjp: {name} holds {np.asarray(leaf).dtype}, expected numbers; "
                "close over an option, or name it in nondiff_argnums"
            )


def cast(tree, dtype: str) -> Any:
    """Float leaves in `dtype` ("float64", ...); complex ones in the matching one."""

    def convert(leaf):
        if not is_float(leaf):
            return leaf
        complex_kind = "complex128" if dtype == "float64" else "complex64"
        is_complex = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        kind = np.dtype(complex_kind if is_complex else jnp.dtype(dtype))
        return np.asarray(leaf).astype(kind, copy=np.size(leaf) < LARGE)

    return jax.tree.map(convert, tree)


def on_device(tree) -> Any:
    """Arrays of the host as JAX's: what a traced index may look into."""
    return jax.tree.map(
        lambda a: jnp.asarray(a) if isinstance(a, np.ndarray) else a, tree
    )


def cotangent(y, floats: Sequence) -> Any:
    """A cotangent of the structure of `y`: integer outputs get float0 zeros."""
    leaves, structure = jax.tree.flatten(y)
    rest = iter(floats)
    return jax.tree.unflatten(
        structure,
        [
            next(rest) if is_float(a) else np.zeros(np.shape(a), jax.dtypes.float0)
            for a in leaves
        ],
    )


def unit(dtype) -> float:
    """Unit round-off of a float dtype: 2^-53 for float64, 2^-24 for float32."""
    return float(jnp.finfo(dtype).eps) / 2


def is_wide(dtype) -> bool:
    """Whether it is of double precision."""
    return str(dtype) in ("float64", "complex128")


def largest(a) -> float:
    """The largest finite entry by size; 0 where there is none."""
    size = np.abs(np.asarray(a))
    return float(np.max(size, where=np.isfinite(size), initial=0.0))


def signature(tree) -> tuple:
    """Structure, shapes and dtypes of a tree, hashable."""
    leaves, structure = jax.tree.flatten(tree)
    kinds = tuple((np.shape(a), str(jax.dtypes.result_type(a))) for a in leaves)
    return structure, kinds
