"""Checkpoints: any pytree of arrays in one safetensors file, every byte accounted for.

safetensors itself loads a flipped bit silently and stores Fortran-ordered arrays
scrambled. So each tensor is made C-contiguous, and the header holds a sha256 of each
tensor and of the metadata. No pickle is involved.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from jaxninja.errors import UserError
from jaxninja.storage.atomic import write_atomic

FORMAT = "jaxninja-1"
# What safetensors gives back to numpy as it was: it writes float8 but cannot read it.
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
KINDS = {"bool", *INTEGERS, "bfloat16", "float16", "float32", "float64"}


# dtype in the file, dtype expected -> what to do
_MODE = {
    ("float64", "float32"): "; it is of JAX's 64-bit mode: set JAX_ENABLE_X64=1",
    ("float32", "float64"): "; it is of JAX's 32-bit mode: unset JAX_ENABLE_X64",
}


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be written or trusted; names the file and the field."""


def save(path: Path, tree: Any, metadata: Mapping[str, Any]) -> None:
    """Write a pytree of arrays and some JSON metadata, atomically.

    Args:
        path: of the file; one that is there already is replaced at the very end.
        tree: dicts, tuples, NamedTuples and optax states of arrays; no typed PRNG keys.
        metadata: of JSON's types.

    Raises:
        CheckpointError: the disk is full or read-only, a leaf is no array that a file
            can hold, or the metadata are not JSON; what was at `path` is untouched.
    """
    tensors = {name: _tensor(name, leaf) for name, leaf in _leaves(tree).items()}
    content = safetensors.numpy.save(tensors, _header(path, tensors, metadata))
    try:
        write_atomic(path, lambda file: file.write(content))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; earlier checkpoints are "
            "untouched: make room and resume"
        ) from None


def load(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint into the structure of `like`.

    Args:
        path: of the file.
        like: a pytree of arrays or `jax.ShapeDtypeStruct`s.

    Returns:
        The pytree, and the metadata.

    Raises:
        CheckpointError: the file is missing, cut short or altered, or a tensor is
            missing, superfluous, or of another shape or dtype than in `like`.
    """
    tensors, metadata = load_tensors(path)
    expected = _leaves(like)
    for name in sorted(expected.keys() ^ tensors.keys()):
        where = "is not in the file" if name in expected else "is not expected in it"
        raise CheckpointError(f"{path}: tensor {name} {where}; it is of another model")
    for name, leaf in expected.items():
        given = f"{tensors[name].dtype}{list(tensors[name].shape)}"
        wanted = f"{leaf.dtype}{list(leaf.shape)}"
        if given != wanted:
            mode = _MODE.get((str(tensors[name].dtype), str(leaf.dtype)), "")
            raise CheckpointError(
                f"{path}: tensor {name} is {given}, expected {wanted}{mode}"
            )
    leaves = [_to_jax(path, name, tensors[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), metadata


def load_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Name -> array, and the metadata; every sha256 is verified.

    Raises:
        CheckpointError: the file is missing, cut short or altered.
    """
    header, tensors = _read(path)
    metadata, sums = _verified(path, header)
    for name in sorted(sums.keys() | tensors.keys()):
        if name not in tensors or _sha256(tensors[name]) != sums.get(name):
            raise CheckpointError(f"{path}: tensor {name} was altered (sha256 differs)")
    return tensors, metadata


def _read(path: Path) -> tuple[Mapping[str, str], dict]:
    """The header, and the tensors by name."""
    try:
        with safe_open(path, "numpy") as file:
            names, header = file.keys(), file.metadata() or {}
            return header, {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError, ValueError) as error:
        if not path.exists():
            raise CheckpointError(f"{path} does not exist") from None
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path} cannot be read: {reason}; if it was cut short or altered, delete "
            "it and resume from the checkpoint before it"
        ) from None


def _header(path: Path, tensors: Mapping, metadata: Mapping) -> dict[str, str]:
    """Metadata and a sha256 of each tensor, with a sha256 of these texts themselves."""
    try:
        text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} not written: its metadata are not JSON: {error}"
        ) from None
    sums = json.dumps({name: _sha256(tensors[name]) for name in sorted(tensors)})
    return {
        "format": FORMAT,
        "metadata": text,
        "sha256": sums,
        "sha256_of_header": _digest(text, sums),
    }


def _verified(path: Path, header: Mapping) -> tuple[dict[str, Any], dict[str, str]]:
    """Metadata and sums, once the header is known to be as it was written."""
    if header.get("format") != FORMAT:
        given = header.get("format")
        raise CheckpointError(f"{path}: its format is {given!r}, expected {FORMAT!r}")
    text, sums = header.get("metadata", ""), header.get("sha256", "")
    if _digest(text, sums) != header.get("sha256_of_header"):
        raise CheckpointError(f"{path}: the header was altered (its sha256 differs)")
    return json.loads(text), json.loads(sums)


def check_config(
    saved: Mapping[str, Any], wanted: Mapping[str, Any], may_differ: Collection[str]
) -> None:
    """Refuse configurations that differ in a field not listed in `may_differ`.

    Raises:
        CheckpointError: names every such field with both values.
    """
    differing = [
        f"{name} is {wanted.get(name)!r}, but {saved.get(name)!r} in the run"
        for name in sorted(saved.keys() | wanted.keys())
        if name not in may_differ and saved.get(name) != wanted.get(name)
    ]
    if differing:
        raise CheckpointError("; ".join(differing))


def _leaves(tree: Any) -> dict[str, Any]:
    """Path of each leaf, as in params/W1, -> leaf, in the order of the pytree."""
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in leaves or name == "__metadata__":  # safetensors' own entry
            raise CheckpointError(f"the name {name} is taken already; rename that leaf")
        leaves[name] = leaf
    return leaves


def _tensor(name: str, leaf: Any) -> np.ndarray:
    """A leaf as safetensors takes it: C-contiguous, in this machine's byte order."""
    kind = str(getattr(getattr(leaf, "dtype", None), "name", type(leaf).__name__))
    if kind not in KINDS:
        raise CheckpointError(
            f"tensor {name} is {kind}, expected an array of bool, integers of 8 to 64 "
            "bits or floats of 16 to 64; of a typed key save jax.random.key_data(key)"
        )
    return np.asarray(leaf, dtype=leaf.dtype.newbyteorder("="), order="C")


def _to_jax(path: Path, name: str, tensor: np.ndarray) -> jax.Array:
    """Without 64-bit mode JAX would halve the precision and say nothing."""
    array = jax.numpy.asarray(tensor)
    if array.dtype != tensor.dtype:
        raise CheckpointError(
            f"{path}: tensor {name} is {tensor.dtype}, but JAX's 64-bit mode is off; "
            "set JAX_ENABLE_X64=1"
        )
    return array


def _sha256(array: np.ndarray) -> str:
    kind = f"{array.dtype}{list(array.shape)}".encode()
    return hashlib.sha256(kind + array.tobytes()).hexdigest()


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
