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

from jaxninja.files import write_atomic

FORMAT = "jaxninja-1"


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or trusted; names the file and the field."""


def save(path: Path, tree: Any, metadata: Mapping[str, Any]) -> None:
    """Write a pytree of arrays and some JSON metadata, atomically.

    Args:
        path: of the file; one that is there already is replaced at the very end.
        tree: dicts, tuples, NamedTuples and optax states of arrays; no typed PRNG keys.
        metadata: of JSON's types.

    Raises:
        CheckpointError: the disk is full or read-only; what was at `path` is untouched.
    """
    tensors = {
        name: np.asarray(leaf, order="C") for name, leaf in _leaves(tree).items()
    }
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    sums = {name: _sha256(array) for name, array in tensors.items()}
    header = {
        "format": FORMAT,
        "metadata": text,
        "sha256": json.dumps(sums, sort_keys=True),
        "sha256_of_header": _digest(text, json.dumps(sums, sort_keys=True)),
    }
    content = safetensors.numpy.save(tensors, header)
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
    for name in expected.keys() ^ tensors.keys():
        where = "is not in the file" if name in expected else "is not expected in it"
        raise CheckpointError(f"{path}: tensor {name} {where}; it is of another model")
    for name, leaf in expected.items():
        given = f"{tensors[name].dtype}{list(tensors[name].shape)}"
        wanted = f"{leaf.dtype}{list(leaf.shape)}"
        if given != wanted:
            raise CheckpointError(
                f"{path}: tensor {name} is {given}, expected {wanted}"
            )
    leaves = [jax.numpy.asarray(tensors[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), metadata


def load_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Name -> array, and the metadata; every sha256 is verified.

    Raises:
        CheckpointError: the file is missing, cut short or altered.
    """
    try:
        with safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path} cannot be read: {reason}; if it was cut short or altered, delete "
            "it and resume from the checkpoint before it"
        ) from None
    return tensors, _verified(path, header, tensors)


def _verified(path: Path, header: Mapping, tensors: Mapping) -> dict[str, Any]:
    """The metadata, once header and tensors are known to be as they were written."""
    if header.get("format") != FORMAT:
        given = header.get("format")
        raise CheckpointError(f"{path}: its format is {given!r}, expected {FORMAT!r}")
    text, sums = header.get("metadata", ""), header.get("sha256", "")
    if _digest(text, sums) != header.get("sha256_of_header"):
        raise CheckpointError(f"{path}: the header was altered (its sha256 differs)")
    expected = json.loads(sums)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or _sha256(tensors[name]) != expected.get(name):
            raise CheckpointError(f"{path}: tensor {name} was altered (sha256 differs)")
    return json.loads(text)


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
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in flat
    }


def _sha256(array: np.ndarray) -> str:
    kind = f"{array.dtype}{list(array.shape)}".encode()
    return hashlib.sha256(kind + array.tobytes()).hexdigest()


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
