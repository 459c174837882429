"""A run as an object and as a folder that its user touched, moved, or half deleted."""

import dataclasses
import json
import os
import re
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import jaxninja
from jaxninja import plots
from jaxninja.cli import main
from jaxninja.cli.train import _default
from jaxninja.errors import TrainError, UserError
from jaxninja.report import figures, findings, gather, page
from jaxninja.storage import checkpoint, run_folder
from jaxninja.storage.checkpoint import CheckpointError
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.progress import Lines, Progress
from jaxninja.training.runs.descriptions import RunError
from jaxninja.training.sampling import items
from jaxninja.training.sampling.choice import SampleError
from tests.runs import ITEMS

QUIET = Progress()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 40 steps on a file beside its folder, trained from within that one."""
    root = tmp_path_factory.mktemp("run")
    (root / "items.txt").write_text("\n".join(ITEMS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        config = TrainConfig(
            data="items.txt",
            runs="runs",
            name="whole",
            steps=40,
            batch_size=8,
            hidden=16,
            log_every=20,
            eval_every=20,
            checkpoint_every=20,
            samples=3,
            diagnose=20,
        )
        run = jaxninja.train(config, progress=QUIET)
    return dataclasses.replace(run, path=root / "runs" / "whole")


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained.path, tmp_path / "runs" / "copy")


def described(path, **changes):
    """Change config.json, or its config where it has that field."""
    file = path / "config.json"
    raw = json.loads(file.read_text())
    for name, value in changes.items():
        (raw["config"] if name in raw["config"] else raw)[name] = value
    file.write_text(json.dumps(raw))


def edits(name, text):
    """Other types, fewer keys, and files that are cut, empty or no JSON."""
    last = text.rstrip("\n").split("\n")[-1] if name.endswith("l") else text
    raw = json.loads(last)
    changed = [raw | {key: value} for key in raw for value in ([], "x", None, -7)]
    changed += [{k: v for k, v in raw.items() if k != key} for key in raw]
    for key, inner in raw.items():
        if isinstance(inner, dict):
            changed += [raw | {key: inner | {k: []}} for k in inner]
            changed += [raw | {key: {}}]
    whole = ["", "null", "[]", "{}", "[" * 10**5, text[: len(text) // 2]]
    return whole + [json.dumps(c) + "\n" for c in changed]


@pytest.mark.parametrize(
    "name", ["config.json", "metrics.jsonl", "result.json", "diagnostics.jsonl"]
)
def test_an_edited_file_is_read_or_refused_in_a_line(name, trained, copy, monkeypatch):
    """Never a traceback: whoever uses it gets a run, or an error that names the file.

    Every edit is loaded; it is sampled from, resumed or reported on by turns.
    """
    monkeypatch.setattr(plots, "loss_curve", lambda *_: None)
    monkeypatch.setattr(figures, "parts", lambda found: iter(()))
    refused = 0
    for turn, text in enumerate(edits(name, (trained.path / name).read_text())):
        (copy / name).write_text(text)
        for use in (_diagnostics, USES[turn % 3]):
            said = refusal(use, copy)
            assert "\n" not in said
            refused += name in said
    assert refused > 10


USES = (
    lambda path: jaxninja.load(path).sample(1),
    lambda path: jaxninja.train(resume=path, progress=QUIET),
    lambda path: page([gather(path)]),
)


def _diagnostics(path):
    return jaxninja.load(path).diagnostics


def refusal(use, path):
    """What the error of a run's file says; nothing if there was none."""
    try:
        use(path)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "result.json", "diagnostics.jsonl", "versions.json"]
)
@pytest.mark.parametrize("text", ["[1]\n", '{"step": 1}\n'])
def test_the_report_and_resume_meet_an_edited_file(name, text, copy):
    (copy / name).write_text(text)
    found = gather(copy)
    findings(found)
    assert "no figure of" not in page([found])
    if text == "[1]\n":
        assert any(name in problem for problem in found.problems)
    said = refusal(lambda path: jaxninja.train(resume=path, progress=QUIET), copy)
    assert not said or name in said


def test_its_repr_is_short_and_it_equals_what_is_loaded(trained, copy):
    assert len(repr(trained)) < 300
    assert "step 40 of 40, train loss" in repr(trained)
    assert trained == jaxninja.load(trained.path)
    assert trained != jaxninja.load(copy)
    assert trained != 3
    state = trained.state._replace(params=trained.params | {"b2": jnp.ones(11)})
    assert trained != dataclasses.replace(trained, state=state)


def test_samples_are_asked_for_by_plain_values_or_numpys(trained):
    for name, given in (
        ("count", 2.5),
        ("count", "3"),
        ("temperature", "x"),
        ("top_k", 1.5),
        ("top_p", "x"),
        ("prompt", 3),
        ("prompt", None),
        ("seed", "a"),
        ("length", 2.5),
    ):
        with pytest.raises(SampleError, match=f"^{name} is {given!r}, expected "):
            trained.sample(**{name: given})
    asked = {"count": np.int64(2), "temperature": np.float32(0.5), "top_k": np.int8(3)}
    assert trained.sample(**asked) == trained.sample(2, 0.5, 3)


def test_what_does_not_fit_together_is_sampled_in_parts(trained, monkeypatch):
    first = trained.sample(2)
    monkeypatch.setattr(items, "PLACES", 2)
    drawn = trained.sample(6)
    assert (len(drawn), drawn[:2]) == (6, first)
    assert len({*map(tuple, (drawn[:2], drawn[2:4], drawn[4:]))}) == 3


@pytest.mark.parametrize("step", [-1, 2**31, 1.5, "x", True])
def test_a_batch_is_of_a_step(step, trained):
    with pytest.raises(RunError, match="expected a whole number from 0 on"):
        trained.batch(step)


def test_what_is_no_path_is_no_run():
    with pytest.raises(RunError, match="path is 7, expected a run folder's path"):
        jaxninja.load(7)


def test_other_parameters_are_calibrated_anew(trained):
    run = jaxninja.load(trained.path)
    before = run.statistics()
    assert run.statistics() is before
    run.params["W1"] = 2 * run.params["W1"]
    np.testing.assert_allclose(run.statistics()["var"], 4 * before["var"], rtol=1e-5)


def test_a_run_is_used_from_any_folder(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = jaxninja.load(trained.path)
    assert run.config.data == str(trained.path.parent.parent / "items.txt")
    assert run.losses() == {k: trained.result[k] for k in run.losses()}
    assert main(["eval", str(trained.path)]) == 0
    assert "clean val" in capsys.readouterr().out


def test_a_run_samples_without_its_data(copy, capsys):
    described(copy, data="gone.txt")
    run = jaxninja.load(copy)
    assert str(copy) in run.without_data
    assert "gone.txt" in run.without_data
    assert run.sample(3) == run.sample(3, bn="running")
    assert main(["sample", str(copy), "-n", "2"]) == 0
    assert "no word on which are new" in capsys.readouterr().out
    with pytest.raises(RunError, match="was trained on"):
        run.losses()


def test_a_swapped_vocabulary_is_refused(trained, copy):
    symbols = [c if c != "q" else "p" for c in trained.vocabulary.symbols]
    described(copy, vocabulary=symbols)
    with pytest.raises(RunError, match=r"config\.json: .*vocabulary"):
        jaxninja.load(copy)
    state, metadata = checkpoint.load(run_folder.latest_checkpoint(copy), trained.state)
    del metadata["vocabulary"]  # as in a checkpoint of an earlier version
    checkpoint.save(run_folder.latest_checkpoint(copy), state, metadata)
    with pytest.raises(RunError, match=r"vocabulary"):
        jaxninja.load(copy).losses()


def test_a_checkpoint_that_vanishes_is_looked_for_again(trained, copy, monkeypatch):
    load, latest = checkpoint.load, run_folder.latest_checkpoint(copy)

    def deleted_first(path, like):
        if path == latest and latest.exists():
            latest.rename(latest.with_name("step-00000041.safetensors"))
        return load(path, like)

    monkeypatch.setattr(checkpoint, "load", deleted_first)
    assert jaxninja.load(copy).step == 40
    for file in run_folder.checkpoints(copy):
        file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read"):
        jaxninja.load(copy)


def test_deleted_checkpoints_do_not_start_a_run_anew(copy):
    for file in (copy / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(RunError, match="step 40: "):
        jaxninja.train(resume=copy, progress=QUIET)
    assert (copy / "result.json").exists()
    with pytest.raises(RunError, match=r"step 40: its checkpoints were deleted"):
        jaxninja.load(copy)


def test_a_run_killed_before_its_first_checkpoint_is_resumed(trained, copy):
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoints").mkdir()
    for name in ("result.json", "metrics.jsonl", "diagnostics.jsonl"):
        (copy / name).unlink()
    said = []
    again = jaxninja.train(resume=copy, progress=Lines(said.append))
    assert any("from step 0" in line for line in said)
    assert again.result["train_loss"] == trained.result["train_loss"]


def test_what_a_resumed_run_may_not_ask_for(trained, copy):
    for change, text in (
        ({"steps": 30}, "steps is 30, but .* has taken 40"),
        ({"name": "other"}, "name is 'other'"),
        ({"runs": "other"}, "runs is 'other'"),
        ({"seed": 1}, "seed is 1, but 0 in the run; a resumed run may change "),
    ):
        config = dataclasses.replace(trained.config, **change)
        with pytest.raises(ConfigError, match=text):
            jaxninja.train(config, resume=copy, progress=QUIET)
    of_another = "^model is 'mlp', but 'ninja' in the run; a resumed run may change "
    with pytest.raises(ConfigError, match=of_another):
        jaxninja.train(TrainConfig(model="mlp"), resume=copy, progress=QUIET)
    with pytest.raises(ConfigError, match=of_another):  # as the options are read
        _default(["--resume", str(copy), "--model", "mlp"])
    again = jaxninja.train(resume=copy, progress=QUIET)
    assert again.result["steps_per_second"] > 0


def test_a_misspelt_run_is_guessed(trained):
    wrong = trained.path.parent / "whola"
    with pytest.raises(RunError, match=f"did you mean {trained.path}"):
        jaxninja.load(wrong)


def test_a_folder_of_runs_names_one(copy):
    there = re.escape(f"; 1 run is in {copy.parent}, as {copy}")
    with pytest.raises(RunError, match=rf"is not a run: .*{there}$"):
        jaxninja.load(copy.parent)
    shutil.copytree(copy, copy.parent / "second")
    with pytest.raises(RunError, match=rf"; 2 runs are in .*{copy}$"):
        jaxninja.load(copy.parent)


def test_what_fails_after_training_costs_only_itself(trained, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr(plots, "loss_curve", fail)
    args = ["train", "--resume", str(trained.path), "--samples", "2"]
    copy = shutil.copytree(trained.path, trained.path.parent / "no-ink")
    (copy / "loss.png").unlink()
    args[2] = str(copy)
    assert main(args) == 1
    out = capsys.readouterr()
    assert "written " in out.out
    assert "loss.png was not written: RuntimeError: no ink" in out.err
    assert (copy / "result.json").exists()
    assert len((copy / "samples.txt").read_text().splitlines()) == 2


def test_a_run_that_goes_on_has_no_samples_of_before(copy, capsys):
    assert main(["train", "--resume", str(copy), "--samples", "0"]) == 0
    assert not (copy / "samples.txt").exists()
    assert "samples" not in capsys.readouterr().out


def test_a_loss_that_is_not_finite_at_the_end(trained, tmp_path):
    config = dataclasses.replace(
        trained.config, steps=1, lr=1e30, runs=str(tmp_path), name="end", diagnose=0
    )
    with pytest.raises(TrainError, match="not finite at step 1"):
        jaxninja.train(config, progress=QUIET)
    assert not (tmp_path / "end" / "result.json").exists()
    assert (tmp_path / "end" / "failure.txt").exists()
    run = jaxninja.load(tmp_path / "end")
    assert run.step == 0
    assert all(np.isfinite(leaf).all() for leaf in run.params.values())


@pytest.mark.parametrize("name", [r"$\frac$.txt", os.fsdecode(b"\xff_a.txt")])
def test_odd_names_and_an_empty_clean_val(name, trained, tmp_path, capsys):
    try:
        (tmp_path / name).write_text("\n".join(["ab", "ba", "bab"] * 12))
    except OSError:
        pytest.skip("this file system takes no such name")
    config = dataclasses.replace(
        trained.config, data=str(tmp_path / name), runs=str(tmp_path / "runs"), steps=20
    )
    said = []
    run = jaxninja.train(config, progress=Lines(said.append))
    assert run.problems == []
    assert run.result["clean_val_loss"] is None
    assert any("clean val  is empty" in line for line in said)
    assert jaxninja.load(run.path).result == run.result
    page([gather(run.path)]).encode()
    assert main(["eval", str(run.path)]) == 0
    assert "clean val  none" in capsys.readouterr().out
