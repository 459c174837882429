"""Weights in the form that others read."""

import os
import subprocess
import sys

import numpy as np
import pytest

from jaxninja.storage import weights
from jaxninja.storage.weights import WeightsFileError

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.ones(2, "f4")}


def test_what_is_written_is_read(tmp_path):
    weights.save(tmp_path / "new" / "folder", TENSORS, {"n_head": 3})
    for path in ("", "model.safetensors"):
        tensors, config = weights.load(tmp_path / "new" / "folder" / path)
        assert config == {"n_head": 3}
        assert tensors.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():  # one of them is not C-contiguous
            np.testing.assert_array_equal(tensors[name], tensor)


READ = "import sys; from jaxninja.storage import weights as w; w.load(sys.argv[1])"


def test_a_configuration_is_utf8_whatever_the_locale(tmp_path):
    weights.save(tmp_path, TENSORS, {})
    (tmp_path / "config.json").write_text('{"name": "José"}', encoding="utf-8")
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", READ, str(tmp_path)]
    subprocess.run(command, check=True, env=os.environ | ascii_alone)


def test_a_file_without_a_configuration_is_read(tmp_path):
    weights.save(tmp_path, TENSORS, {})
    (tmp_path / "config.json").unlink()
    assert weights.load(tmp_path)[1] == {}


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(WeightsFileError, match=r"none cannot be read"):
        weights.load(tmp_path / "none")
    with pytest.raises(WeightsFileError, match=r"model.safetensors cannot be read"):
        weights.load(tmp_path)
    weights.save(tmp_path, TENSORS, {})
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(WeightsFileError, match=r"config.json cannot be read"):
        weights.load(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsFileError, match="is no safetensors file"):
        weights.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsFileError, match="cannot be written"):
        weights.save(tmp_path / "file", TENSORS, {})
