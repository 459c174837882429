"""Weights in the form that others read."""

import json
import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

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
    with pytest.raises(WeightsFileError, match=r"has neither model.safetensors nor"):
        weights.load(tmp_path)
    weights.save(tmp_path, TENSORS, {})
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(WeightsFileError, match=r"config.json cannot be read"):
        weights.load(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsFileError, match="is no safetensors file"):
        weights.load(tmp_path)


def test_files_that_an_index_names_are_read_as_one(tmp_path):
    (tmp_path / "config.json").write_text('{"n_head": 3}')
    named = {name: f"model-{name}.safetensors" for name in TENSORS}
    for name, file in named.items():
        whole = np.ascontiguousarray(TENSORS[name])
        safetensors.numpy.save_file({name: whole}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": named}))
    tensors, config = weights.load(tmp_path)
    assert config == {"n_head": 3}
    assert tensors.keys() == TENSORS.keys()
    np.testing.assert_array_equal(tensors["a"], TENSORS["a"])
    index.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with pytest.raises(WeightsFileError, match=r"names '\.\./a.safetensors', expected"):
        weights.load(tmp_path)
    index.write_text("{}")
    with pytest.raises(WeightsFileError, match=r"index.json has no weight_map"):
        weights.load(tmp_path)


def test_bfloat16_is_read(tmp_path):
    half = {"a": np.arange(6).astype(jnp.bfloat16)}
    safetensors.numpy.save_file(half, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(weights.load(tmp_path)[0]["a"], half["a"])


@pytest.mark.parametrize("path", ["", "pytorch_model.bin"])
def test_a_pickle_is_told_how_to_become_safetensors(tmp_path, path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(WeightsFileError, match=r"\.bin is a pickle.*save_pretrained"):
        weights.load(tmp_path / path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsFileError, match="cannot be written"):
        weights.save(tmp_path / "file", TENSORS, {})
