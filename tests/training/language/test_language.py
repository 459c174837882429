"""Training on running text: the run of another kind of data, and what is refused."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import jaxninja
from jaxninja.cli.export import main as export
from jaxninja.data import token_files, tokenizers
from jaxninja.data.text import DataError
from jaxninja.data.tokenizers import Characters
from jaxninja.models import network
from jaxninja.report import gather, page
from jaxninja.storage import run_folder, weights
from jaxninja.storage.run_folder import read_metrics
from jaxninja.training import evaluation
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.options.recipes import takes
from jaxninja.training.progress import Progress
from jaxninja.training.runs import recorder
from jaxninja.training.sampling.choice import SampleError
from tests.runs import Heard, same_bits

TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler\n" * 9
QUIET = Progress()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, and a cache of its own."""
    made = tmp_path_factory.mktemp("text")
    (made / "play.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(made / "cache"))
        yield made


def config_of(folder, **given):
    sizes = {"context": 8, "layers": 1, "heads": 2, "embedding": 8}
    fields = {
        "data": str(folder / "play.txt"),
        "runs": str(folder / "runs"),
        "tokenizer": "char",
        "size": "gpt2-tiny",
        "steps": 12,
        "batch_size": 4,
        "warmup": 2,
        "log_every": 3,
        "eval_every": 6,
        "checkpoint_every": 4,
        "diagnose": 6,
        "length": 20,
        "multiple": 4,
    }
    return TrainConfig(**({"model": "gpt2"} | sizes | fields | given))


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def run(folder, heard):
    return jaxninja.train(config_of(folder, name="whole"), progress=heard)


def test_a_run_leaves_what_every_run_does(run, heard):
    assert run.result.keys() >= {"train_loss", "val_loss"}
    assert not run.result.keys() & {"test_loss", "clean_val_loss"}
    assert run.problems == []
    names = {"result.json", "loss.png", "samples.txt", "config.json"}
    assert names <= {path.name for path in run.path.iterdir()}
    assert len((run.path / "samples.txt").read_text()) == len("\n") + 20 + len("\n")
    assert [line["step"] for line in run.diagnostics] == [0, 6, 12]
    assert run.diagnostics[0]["parameters"].keys() == run.params.keys()
    assert jaxninja.load(run.path) == run
    said = "\n".join(heard.lines)
    cut = int(0.9 * len(TEXT))
    sizes = f"{cut:,} / {len(TEXT) - cut:,} tokens of train / val"
    assert f"{sizes}, of {len(set(TEXT))} by char" in said
    assert said.count("tokens/s") == len(run.metrics) == 4
    assert said.index("compiled   in") < said.index("diagnosed  step 0, compiled in")


def test_a_text_without_a_line_end_begins_with_its_first_token(run):
    symbols = run.vocabulary.symbols
    other = dataclasses.replace(run, vocabulary=Characters(symbols[1:] + "~"))
    assert "\n" in symbols
    (text,) = other.sample(1, length=3)
    assert len(text) == 4
    assert text[0] == symbols[1]


def test_a_text_has_a_page_that_claims_no_batchnorm(run):
    head = page([gather(run.path)]).split("</header>")[0]
    assert f"<dd>{run.result['val_loss']:.4f}</dd>" in head
    assert "batchnorm" not in head


def test_a_text_has_attention_and_a_row_for_each_block(run):
    found = gather(run.path)
    html = page([found])
    assert found.problems == []
    assert "attend to" in html
    names = [f"{part}{n + 1}" for n in range(run.model.layers) for part in "hx"]
    assert list(run.diagnostics[-1]["activations"]) == names
    for name in names:
        assert f'<th scope="row">{name}</th><td>{found.kinds[name]}</td>' in html
    assert found.dead_for.endswith("tokens of train")


def test_the_log_tells_the_pace(run):
    """A line of 3 steps: tokens, operations, and their share of the machine's."""
    lines = read_metrics(run.path / "metrics.jsonl")
    seconds = np.diff([0.0, *(line["seconds"] for line in lines)])
    for line, took in zip(lines, seconds, strict=True):
        assert line["tokens_per_second"] == pytest.approx(3 * 4 * 8 / took, rel=1e-3)
        assert line["flops_per_second"] > 6 * line["tokens_per_second"]
        assert 0 < line["share_of_machine"] < 1


def test_the_loss_is_the_mean_over_all_tokens_but_the_first(run):
    tokens = run.dataset.corpus.val
    ids = np.array(tokens[: len(tokens) // 8 * 8 + 1], np.int32)
    given = ids[:-1].reshape(-1, 8), ids[1:].reshape(-1, 8)
    whole = evaluation.mean_loss(run.params, {}, *given, run.model)
    rest = len(tokens) - len(ids)
    assert run.dataset.val.predicted == len(tokens) - 1
    assert run.result["val_loss"] == pytest.approx(whole, rel=rest / len(ids))


class Killed(BaseException):
    """As good as a kill: what is not on the disk is lost."""


@pytest.mark.bits
def test_a_run_killed_and_resumed_has_the_same_bits(folder, monkeypatch):
    """Killed between a checkpoint and the next: it draws the same batches again."""
    without = config_of(folder, name="not killed", diagnose=0)
    run = jaxninja.train(without, progress=QUIET)
    add = recorder.Record.add

    def add_then_die(self, chunk):
        lines = add(self, chunk)
        if self.run.step == 9:
            raise Killed
        return lines

    config = dataclasses.replace(run.config, name="killed")
    assert config.warmup < 9 < config.cosine  # killed on the way down
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Record, "add", add_then_die)
        with pytest.raises(Killed):
            jaxninja.train(config, progress=QUIET)
    path = os.path.join(config.runs, "killed")
    assert run_folder.latest_checkpoint(Path(path)).stem == "step-00000008"
    resumed = jaxninja.train(resume=path, progress=QUIET)
    assert same_bits(run.state, resumed.state)
    assert resumed.losses() == run.losses()
    losses = [[line["train_loss"] for line in r.metrics] for r in (run, resumed)]
    assert losses[0] == losses[1]


def test_a_batch_in_parts_is_the_same_training(run):
    config = dataclasses.replace(run.config, name="parts", accumulate=2, diagnose=0)
    parts = jaxninja.train(config, progress=QUIET)
    for name, p in run.params.items():
        np.testing.assert_allclose(parts.params[name], p, atol=2e-4, err_msg=name)
    assert parts.result["val_loss"] == pytest.approx(run.result["val_loss"], rel=1e-4)


def test_weights_go_out_and_come_in(run, folder, capsys):
    """The first loss of a run that begins with them is that of the one they are of."""
    out = folder / "exported"
    assert export([str(run.path), "--out", str(out)]) == 0
    assert "tensors" in capsys.readouterr().out
    tensors, beside = weights.load(out)
    assert tensors["transformer.wte.weight"].shape == (len(set(TEXT)), 8)
    assert beside["n_head"] == 2
    assert beside["eos_token_id"] is beside["bos_token_id"] is None
    given = {"name": "again", "init_from": str(out), "steps": 1, "lr": 1e-30}
    config = dataclasses.replace(run.config, diagnose=0, samples=0, **given)
    again = jaxninja.train(config, progress=QUIET)
    assert again.result["val_loss"] == pytest.approx(run.result["val_loss"], abs=1e-6)
    config = dataclasses.replace(config, name=None)
    with pytest.raises(ConfigError, match=r"another net.*--layers 1 --heads 2 --emb"):
        jaxninja.train(dataclasses.replace(config, embedding=16), progress=QUIET)
    with pytest.raises(
        ConfigError, match=r"init_from is of .* tokens, .* byte has 256"
    ):
        jaxninja.train(dataclasses.replace(config, tokenizer="byte"), progress=QUIET)


def test_a_run_is_exported_before_another_begins_with_it(run):
    for own in (run.path, run_folder.latest_checkpoint(run.path)):
        config = dataclasses.replace(run.config, name=None, init_from=str(own))
        told = f"a run's own form .* `jaxninja export {run.path}` writes"
        with pytest.raises(ConfigError, match=told):
            jaxninja.train(config, progress=QUIET)


def test_weights_that_do_not_fit_are_refused_with_their_file(run, folder, tmp_path):
    out = tmp_path / "exported"
    assert export([str(run.path), "--out", str(out)]) == 0
    config = dataclasses.replace(run.config, name=None, init_from=str(out), steps=1)
    other = folder / "other.txt"
    other.write_text(TEXT.replace("q", "Q"))
    with pytest.raises(ConfigError, match=r"other tokens .* char for .*other.txt"):
        jaxninja.train(dataclasses.replace(config, data=str(other)), progress=QUIET)
    tensors, beside = weights.load(out)
    weights.save(out, tensors, beside | {"layer_norm_epsilon": 1e-2})
    with pytest.raises(ConfigError, match=r"another network .* --eps 0.01$"):
        jaxninja.train(config, progress=QUIET)
    weights.save(out, tensors | {"extra": np.ones(2)}, beside)
    with pytest.raises(weights.WeightsFileError, match=rf"^{out}: tensor extra"):
        jaxninja.train(config, progress=QUIET)


def test_a_text_goes_on_from_its_prompt(run):
    texts = run.sample(2, prompt="To be", length=11, seed=3, temperature=2.0)
    assert [len(text) for text in texts] == [16, 16]
    assert all(text.startswith("To be") for text in texts)
    assert texts[0] != texts[1]
    assert run.sample(2, prompt="To be", length=11, seed=3, temperature=2.0) == texts
    for length in (0, 100_000):
        with pytest.raises(SampleError, match=rf"length is {length}, .* 10,000"):
            run.sample(length=length)


def test_the_recipe_follows_from_what_is_given():
    tiny = TrainConfig(model="gpt2", size="gpt2-tiny", steps=50)
    assert (tiny.layers, tiny.heads, tiny.embedding, tiny.context) == (2, 2, 32, 64)
    assert (tiny.cosine, tiny.warmup, tiny.clip) == (50, 25, 1.0)
    large = TrainConfig(model="gpt2", size="gpt2-large", layers=3)
    assert (large.layers, large.embedding, large.cosine) == (3, 1280, 2_000)
    assert network.MODELS["gpt2"] is type(large.network(7))
    assert "residuals" in takes("gpt2")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": "gpt3"}, "size is 'gpt3'"),
        ({"model": "gpt2-tiny"}, "model is .* --model gpt2 --size gpt2-tiny$"),
        ({"residuals": "2C"}, "residuals is '2C', expected one of 10C, 5C, 1C"),
        ({"accumulate": 3}, "accumulate is 3, .* batch_size.* 4"),
        ({"accumulate": 0}, "accumulate is 0, expected 1 "),
        ({"cosine": 2}, "cosine is 2, .* 2 .*warmup"),
        ({"warmup": 9, "cosine": 8, "steps": 8}, "warmup is 9, expected fewer than 8"),
        ({"split": "lecture"}, "split is 'lecture', .* gpt2"),
        ({"heads": 3}, "heads is 3, .* embedding.* 8"),
        ({"lr_last": 1.5}, "lr_last is 1.5"),
        ({"length": 10_001}, "length is 10001, .* 10,000"),
    ],
)
def test_options_that_do_not_go_together(given, told, folder):
    with pytest.raises(ConfigError, match=f"^{told}"):
        config_of(folder, **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"context": 100},
            "val .* 57 tokens",
        ),
        ({"data": "shakespear"}, "data is 'shakespear', .*did you mean 'tinyshakes"),
        ({"init_from": "none"}, "none cannot be read"),
    ],
)
def test_data_that_cannot_be_trained_on(given, told, folder):
    runs = str(folder / "none-made")
    with pytest.raises(ValueError, match=told):
        jaxninja.train(config_of(folder, runs=runs, **given), progress=QUIET)
    assert not list(Path(runs).glob("*"))


class Alphabet:
    """In place of GPT-2's pairs: a token for each character."""

    def encode(self, text):
        return SimpleNamespace(ids=[ord(c) for c in text])

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids))


def test_a_report_and_an_export_do_without_gpt2s_files(folder, monkeypatch, capsys):
    tokens = np.resize(np.arange(97, 123), 400)
    token_files.write(folder / "letters.bin", tokens)
    given = {"tokenizer": "gpt2", "data": str(folder / "letters.bin")}
    config = config_of(folder, **given, steps=2, warmup=0, diagnose=0)
    monkeypatch.setattr(tokenizers, "GPT2", 128)
    monkeypatch.setattr(tokenizers, "_of_package", list)
    with pytest.raises(DataError, match="tokenizer gpt2 needs Open"):
        jaxninja.train(config, progress=QUIET)
    with monkeypatch.context() as there:
        there.setattr(tokenizers, "_pairs", lambda files: Alphabet())
        path = jaxninja.train(config, progress=QUIET).path
    found = gather(path)
    assert "attend to" in page([found])
    assert [p for p in found.problems if not p.startswith("no diagnostics")] == []
    out = folder / "letters"
    assert export([str(path), "--out", str(out)]) == 0
    assert {file.name for file in out.iterdir()} == {weights.TENSORS, weights.CONFIG}
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("without vocab.json and merges.txt: tokenizer gpt2 needs")
    with pytest.raises(DataError, match="tokenizer gpt2 needs Open"):
        jaxninja.load(path).sample(1)


def test_models_of_items_have_no_tokenizer_and_a_sweep_has_no_text(folder):
    with pytest.raises(ConfigError, match=r"tokenizer is 'byte', expected none"):
        TrainConfig(tokenizer="byte")
    with pytest.raises(ConfigError, match=r"accumulate is 2, expected 1: batchnorm"):
        TrainConfig(accumulate=2)
    from jaxninja.training.sweeps.trainer import sweep

    with pytest.raises(ConfigError, match=r"model is 'gpt2', expected one of items"):
        sweep(config_of(folder), [0, 1], [0.1], progress=QUIET)
