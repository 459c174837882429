"""Weights of a network in the form that others read: model.safetensors, config.json.

A folder of these two is what the library transformers opens. It divides large models
into several files, and an index says which tensor is in which. Unlike our checkpoints
they bear no checksums: what is read here may come from anywhere.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from jaxninja.errors import UserError
from jaxninja.storage.atomic import write_atomic, write_json

TENSORS, CONFIG = "model.safetensors", "config.json"
INDEX = f"{TENSORS}.index.json"  # of several files
PICKLED = "pytorch_model.bin", "pytorch_model.bin.index.json"  # as they were once


class WeightsFileError(UserError, ValueError):
    """Files of weights that cannot be read or written; the message names one."""


def save(
    folder: str | Path, tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> None:
    """Write both files into a folder, which is made if it is missing.

    Raises:
        WeightsFileError: the disk refuses.
    """
    folder = Path(folder)
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    form = {"format": "pt"}  # transformers asks for it
    content = safetensors.numpy.save(whole, form)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / TENSORS, lambda file: file.write(content))
        write_json(folder / CONFIG, dict(config))
    except OSError as error:
        raise WeightsFileError(
            f"{folder} cannot be written: {error.strerror}"
        ) from None


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors by name, and the configuration beside them, {} if there is none.

    Args:
        path: of a .safetensors file, of a folder with model.safetensors, or of one with
            model.safetensors.index.json and the files that it names.

    Raises:
        WeightsFileError: a file is missing, cut short, or of another format.
    """
    path = Path(path)
    tensors: dict[str, np.ndarray] = {}
    for file in _files(path):
        tensors |= _tensors(file)
    beside = (path if path.is_dir() else path.parent) / CONFIG
    return tensors, _json(beside) if beside.exists() else {}


def _files(path: Path) -> list[Path]:
    """Those that hold the tensors."""
    if path.suffix in (".bin", ".pt", ".pth"):
        raise WeightsFileError(f"{path} {_UNREAD}")
    if not path.is_dir():
        return [path]
    if (path / TENSORS).exists():
        return [path / TENSORS]
    if (path / INDEX).exists():
        return _named(path / INDEX)
    for name in PICKLED:
        if (path / name).exists():
            raise WeightsFileError(f"{path / name} {_UNREAD}")
    raise WeightsFileError(f"{path} has neither {TENSORS} nor {INDEX}")


_UNREAD = (
    "is a pickle of PyTorch's, which is not read; write it as safetensors: "
    "transformers.GPT2LMHeadModel.from_pretrained(FOLDER).save_pretrained(ANOTHER)"
)


def _named(index: Path) -> list[Path]:
    """The files of an index, all of them beside it."""
    names = _json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise WeightsFileError(f"{index} has no weight_map: which tensor is in which")
    files = sorted({str(name) for name in names.values()})
    for name in files:
        if Path(name).name != name:
            raise WeightsFileError(f"{index} names {name!r}, expected a file beside it")
    return [index.parent / name for name in files]


def _tensors(file: Path) -> dict[str, np.ndarray]:
    try:
        with file.open("rb"), safe_open(file, "numpy") as opened:  # errors as Python's
            names = opened.keys()
            return {name: opened.get_tensor(name) for name in names}
    except OSError as error:
        reason = error.strerror or error
        raise WeightsFileError(f"{file} cannot be read: {reason}") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsFileError(f"{file} is no safetensors file: {error}") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsFileError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise WeightsFileError(f"{file} holds no configuration")
    return found
