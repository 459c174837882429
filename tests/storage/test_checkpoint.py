"""Checkpoints: bit for bit, and every altered byte is noticed."""

import errno
import json
import os
import re
import struct
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxninja.storage import atomic, checkpoint
from jaxninja.storage.checkpoint import CheckpointError

METADATA = {"step": 7, "config": {"data": "José", "lr": 0.1, "clip": None}}


def tree():
    params = {"W": jax.random.normal(jax.random.key(0), (3, 4)), "b": jnp.zeros((0, 2))}
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    return {
        "params": params,
        "optimizer": tx.init(params),
        "count": jnp.int32(3),
        "half": jnp.arange(5, dtype=jnp.bfloat16),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, tree(), METADATA)
    return path


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_round_trip(saved):
    loaded, metadata = checkpoint.load(saved, jax.eval_shape(tree))
    same(loaded, tree())
    assert metadata == METADATA
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize(
    "tx",
    [optax.sgd(optax.constant_schedule(0.1)), optax.adam(1e-3), optax.adamw(1e-3)],
    ids=["sgd", "adam", "adamw"],
)
def test_optimizer_states(tx, tmp_path):
    params = {"W": jnp.ones((2, 3))}
    state = tx.init(params)
    _, state = tx.update(jax.tree.map(jnp.cos, params), state, params)
    checkpoint.save(tmp_path / "c", state, {})
    same(checkpoint.load(tmp_path / "c", tx.init(params))[0], state)


def test_fortran_order_and_views_are_saved_right(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    leaves = {"f": np.asfortranarray(base), "t": base.T, "s": base[::2, 1::2]}
    checkpoint.save(tmp_path / "c", leaves, {})
    loaded, _ = checkpoint.load_tensors(tmp_path / "c")
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(loaded[name], leaf)


def test_every_flipped_bit_is_noticed(saved):
    """One bit of each byte of the tensors, and of every third byte of the header."""
    content = saved.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    like = jax.eval_shape(tree)
    for i in [*range(0, 8 + size, 3), *range(8 + size, len(content))]:
        saved.write_bytes(
            content[:i] + bytes([content[i] ^ 1 << i % 7]) + content[i + 1 :]
        )
        with pytest.raises(CheckpointError, match=str(saved)):
            checkpoint.load(saved, like)


def test_a_flipped_bit_of_a_tensor_names_it(saved):
    content = bytearray(saved.read_bytes())
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(bytes(content[8 : 8 + size]))
    start = header["params/W"]["data_offsets"][0]
    content[8 + size + start] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="tensor params/W was altered"):
        checkpoint.load_tensors(saved)


def test_other_files_are_refused(tmp_path, saved):
    with pytest.raises(CheckpointError, match="none does not exist"):
        checkpoint.load(tmp_path / "none", {})
    import safetensors.numpy

    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(
        CheckpointError, match="its format is None, expected 'jaxninja-1'"
    ):
        checkpoint.load(tmp_path / "foreign", {"a": jnp.zeros(2)})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t["params"].pop("W"), "tensor params/W"),
        (lambda t: t.update(more=jnp.zeros(1)), "tensor more"),
        (
            lambda t: t.update(count=jnp.zeros(2, int)),
            r"count is int32\[\], expected int32\[2\]",
        ),
        (
            lambda t: t.update(count=jnp.float32(1)),
            r"count is int32\[\], expected float32\[\]",
        ),
    ],
)
def test_another_model_is_refused(saved, change, text):
    like = tree()
    change(like)
    with pytest.raises(CheckpointError, match=text):
        checkpoint.load(saved, like)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_or_read_only_disk_loses_nothing(saved, monkeypatch, number, call):
    before = saved.read_bytes()

    def refuse(*_):
        raise OSError(number, "the disk says no")

    monkeypatch.setattr(atomic.os, call, refuse)
    with pytest.raises(CheckpointError, match="the disk says no"):
        checkpoint.save(saved, tree(), {"step": 8})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_file_and_folder_are_flushed_before_and_after_the_rename(saved, monkeypatch):
    calls = []
    replace, fsync = atomic.os.replace, atomic.os.fsync
    monkeypatch.setattr(
        atomic.os, "replace", lambda *a: (calls.append("rename"), replace(*a))
    )
    monkeypatch.setattr(atomic.os, "fsync", lambda f: (calls.append("fsync"), fsync(f)))
    checkpoint.save(saved, tree(), {})
    assert calls == ["fsync", "rename", "fsync"]


def test_check_config_names_every_difference():
    saved, wanted = {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4, "c": 5, "d": 6}
    checkpoint.check_config(saved, wanted, {"b", "c", "d"})
    with pytest.raises(CheckpointError, match=r"c is 5, but 3 .* d is 6, but None"):
        checkpoint.check_config(saved, wanted, {"b"})


def test_nan_in_metadata_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        checkpoint.save(tmp_path / "c", {}, {"loss": float("nan")})


def test_float64_comes_back_whole_or_not_at_all(tmp_path):
    like = {"a": np.array([np.pi, -0.0, np.nan])}
    checkpoint.save(tmp_path / "c", like, {})
    with pytest.raises(CheckpointError, match=r"tensor a is float64.*JAX_ENABLE_X64=1"):
        checkpoint.load(tmp_path / "c", like)
    with jax.enable_x64(True):
        loaded, _ = checkpoint.load(tmp_path / "c", like)
    assert np.asarray(loaded["a"]).tobytes() == like["a"].tobytes()


def test_an_empty_state_a_zero_dimensional_and_a_bare_array(tmp_path):
    for leaf in (optax.EmptyState(), None, {}, jnp.float32(2), jnp.ones((0, 3))):
        checkpoint.save(tmp_path / "c", leaf, {})
        same(checkpoint.load(tmp_path / "c", leaf)[0], leaf)


def test_the_other_byte_order_is_turned_round(tmp_path):
    checkpoint.save(tmp_path / "c", {"a": np.arange(3, dtype=">f4")}, {})
    loaded, _ = checkpoint.load_tensors(tmp_path / "c")
    np.testing.assert_array_equal(loaded["a"], np.arange(3, dtype="f4"))


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        (jax.random.key, "key<fry>"),
        (lambda _: jnp.zeros(2, jnp.float8_e4m3fn), "float8_e4m3fn"),
        (lambda _: np.zeros(2, complex), "complex128"),
        (lambda _: "text", "str"),
        (float, "float"),
    ],
)
def test_a_leaf_no_file_can_hold_is_named(tmp_path, leaf, kind):
    with pytest.raises(CheckpointError, match=f"tensor a/b is {kind}, expected"):
        checkpoint.save(tmp_path / "c", {"a": {"b": leaf(0)}}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "clashing", [{"a/b": np.ones(2), "a": {"b": np.zeros(2)}}, {"__metadata__": 1}]
)
def test_no_leaf_takes_the_place_of_another(tmp_path, clashing):
    with pytest.raises(CheckpointError, match="is taken already"):
        checkpoint.save(tmp_path / "c", clashing, {})


def test_metadata_that_were_altered_are_noticed(saved):
    saved.write_bytes(saved.read_bytes().replace(b"Jos", b"Jus", 1))
    with pytest.raises(CheckpointError, match="header was altered"):
        checkpoint.load_tensors(saved)


@pytest.mark.parametrize("new", ['"I32","shape":[3,4]', '"F32","shape":[4,3]'])
def test_a_dtype_or_shape_altered_in_the_header_is_noticed(saved, new):
    content, old = saved.read_bytes(), b'"F32","shape":[3,4]'
    saved.write_bytes(content.replace(old, new.encode(), 1))
    with pytest.raises(CheckpointError, match=r"tensor \S*/W was altered"):
        checkpoint.load_tensors(saved)


def test_every_length_short_of_the_whole_and_one_byte_more_are_refused(saved):
    content = saved.read_bytes()
    for wrong in [*(content[:n] for n in range(0, len(content), 7)), content + b"\0"]:
        saved.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=re.escape(f"{saved} cannot be read")):
            checkpoint.load_tensors(saved)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_takes_no_files(saved, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:  # JAX opens files too, when it compiles
        patch.setattr("pathlib.Path.open", refuse)
        with pytest.raises(CheckpointError, match=os.strerror(number)):
            checkpoint.save(saved, {}, {})
    same(checkpoint.load(saved, tree())[0], tree())


def test_a_disk_that_is_really_full(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    try:
        path = tmp_path / "c"
        checkpoint.save(path, {"a": np.ones(4000, "f4")}, {"step": 1})
        with pytest.raises(CheckpointError, match="No space left on device"):
            checkpoint.save(path, {"a": np.zeros(40000, "f4")}, {"step": 2})
        assert checkpoint.load_tensors(path)[1] == {"step": 1}
        assert list(tmp_path.iterdir()) == [path]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


SAVE_FOREVER = """
import pathlib, sys
import numpy as np
from jaxninja.storage import checkpoint
for step in range(10**9):
    tree = {"a": np.full(300_000, step, "f4")}
    checkpoint.save(pathlib.Path(sys.argv[1]), tree, {"step": step})
    if step == 2:
        print("saving", flush=True)
"""


def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path):
    """kill -9 at four moments; the process has nothing to do but to save."""
    path = tmp_path / "c"
    for delay in (0.0, 0.011, 0.023, 0.037):
        command = [sys.executable, "-c", SAVE_FOREVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "saving\n"
            time.sleep(delay)
            process.kill()
        tensors, metadata = checkpoint.load_tensors(path)
        assert metadata["step"] >= 2
        assert (tensors["a"] == metadata["step"]).all()
        atomic.remove_temporary(tmp_path)
        assert list(tmp_path.iterdir()) == [path]
