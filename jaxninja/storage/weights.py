"""Weights of a network in the form that others read: model.safetensors, config.json.

A folder of these two is what the library transformers opens. Unlike our checkpoints
they bear no checksums: what is read here may come from anywhere.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from jaxninja.errors import UserError
from jaxninja.storage.atomic import write_atomic, write_json

TENSORS, CONFIG = "model.safetensors", "config.json"


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
    content = safetensors.numpy.save(
        whole, {"format": "pt"}
    )  # transformers asks for it
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
        path: of a .safetensors file, or of a folder with model.safetensors.

    Raises:
        WeightsFileError: a file is missing, cut short, or of another format.
    """
    path = Path(path)
    file = path / TENSORS if path.is_dir() else path
    try:
        tensors = safetensors.numpy.load(file.read_bytes())
    except OSError as error:
        raise WeightsFileError(f"{file} cannot be read: {error.strerror}") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsFileError(f"{file} is no safetensors file: {error}") from None
    beside = file.parent / CONFIG
    try:
        config = (
            json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        )
    except (OSError, ValueError) as error:
        raise WeightsFileError(f"{beside} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise WeightsFileError(f"{beside} holds no configuration")
    return tensors, config
