"""What training does with models that read sequences, and with a wavenet."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxninja
from jaxninja.models import network
from jaxninja.storage import run_folder
from jaxninja.training import evaluation, examples, monitor, steps
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.optimizers import schedule
from jaxninja.training.options.recipes import OPTIONS, RECIPES, takes
from jaxninja.training.progress import Progress
from jaxninja.training.runs import opening
from jaxninja.training.sampling.choice import Choice
from jaxninja.training.sampling.items import sample
from jaxninja.training.sweeps import trainer
from tests.runs import ITEMS, same_bits

QUIET = Progress()
GPT2 = TrainConfig(model="gpt2")
SIZES = {
    "gru": {"embedding": 4, "hidden": 5},
    "wavenet": {"context": 4, "embedding": 4, "hidden": 6},
}


def config_of(model, folder):
    path = folder / "items.txt"
    path.write_text("\n".join(ITEMS))
    return TrainConfig(
        model=model,
        **SIZES[model],
        data=str(path),
        runs=str(folder / "runs"),
        name="whole",
        steps=40,
        batch_size=8,
        log_every=20,
        eval_every=20,
        checkpoint_every=10,
        samples=3,
        diagnose=20,
    )


@pytest.fixture(scope="module", params=SIZES)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return jaxninja.train(config_of(request.param, folder), progress=QUIET)


@pytest.mark.bits
@pytest.mark.parametrize("model", SIZES)
def test_a_resumed_run_has_the_same_bits(model, tmp_path):
    config = dataclasses.replace(config_of(model, tmp_path), diagnose=0, samples=0)
    whole = jaxninja.train(config, progress=QUIET)
    half = dataclasses.replace(config, name="half", steps=20)
    path = jaxninja.train(half, progress=QUIET).path
    more = dataclasses.replace(config, name="half")
    resumed = jaxninja.train(more, resume=path, progress=QUIET)
    assert same_bits(whole.state, resumed.state)
    assert resumed.losses() == whole.losses()
    assert jaxninja.load(path) == resumed


def test_the_run_says_what_was_in_force(run):
    loaded = jaxninja.load(run.path)
    assert loaded.config == run.config
    assert loaded.result["model"] == run.config.model
    assert loaded.config.context == 5 - (run.config.model == "wavenet")
    names = set(network.of(run.model).activations(run.model)) | {"logits"}
    assert {k for line in loaded.diagnostics for k in line["activations"]} == names
    assert len(run_folder.read_metrics(run.path / "metrics.jsonl")) == 2


def test_the_loss_is_the_mean_over_what_is_predicted(run):
    x, y = map(jnp.asarray, run.dataset.val)
    logits = network.of(run.model).apply(run.params, run.statistics(), x, run.model)
    logprobs = np.asarray(jax.nn.log_softmax(logits))
    labels = np.ndenumerate(np.asarray(y))
    picked = [logprobs[(*at, label)] for at, label in labels if label >= 0]
    assert len(picked) == run.dataset.val.predicted
    assert run.losses()["val_loss"] == pytest.approx(-np.mean(picked), rel=1e-5)


def test_blocks_do_not_move_the_loss(run, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 15)  # of sequences three rows
    x, y = run.dataset.train
    again = evaluation.mean_loss(run.params, run.statistics(), x, y, run.model)
    assert again == pytest.approx(run.losses()["train_loss"], rel=1e-5)


def test_calibrated_statistics_are_those_of_one_batch(run):
    x, y = map(jnp.asarray, run.dataset.train)
    _, whole = network.of(run.model).loss(run.params, x, y, run.model)
    calibrated = run.statistics()
    assert calibrated.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(calibrated[name], value, rtol=1e-4, atol=1e-5)


def test_samples_go_on_beyond_the_longest_item(run):
    key, statistics = jax.random.key(0), run.statistics()
    given = key, run.params, statistics, run.model
    drawn = sample(*given, 40, Choice(1e3), limit=30)
    assert max(map(len, drawn)) > run.model.context
    start = tuple(run.vocabulary.encode("ax"))
    [greedy] = sample(*given, 1, Choice(0.0), start, 9)
    for n in range(len(start), len(greedy)):
        assert greedy[n] == likeliest(run, greedy[:n])


def likeliest(run, ids):
    """The symbol after some, from what a model of that kind reads of them."""
    T, sequences = run.model.context, network.reads_sequences(run.model)
    read = [0, *ids][-T:] if sequences else ([0] * T + ids)[-T:]
    row = jnp.array([read + [0] * (T - len(read))])
    logits = network.of(run.model).apply(run.params, run.statistics(), row, run.model)
    return int((logits[0, len(read) - 1] if sequences else logits[0]).argmax())


@pytest.mark.parametrize("run", ["gru"], indirect=True)
def test_a_member_of_a_sweep_is_that_training(run, tmp_path):
    config = dataclasses.replace(run.config, runs=str(tmp_path))
    row = trainer.sweep(config, [0, 1], [run.config.lr], progress=QUIET)[0]
    assert row["train_loss"] == pytest.approx(run.result["train_loss"], rel=1e-4)


def test_padding_is_replaced_by_what_is_predicted():
    labels = jnp.array([[1, 0, -1, -1], [2, 1, 0, -1]])
    array = jnp.arange(16.0).reshape(2, 4, 2)
    rows = np.asarray(monitor.predicting(array, labels))[:, 0].tolist()
    assert sorted(rows[:5]) == [0, 2, 8, 10, 12]
    assert rows == [*rows[:5], *rows[:3]]
    assert monitor.predicting(array, jnp.array([1, 2])) is array


@pytest.mark.parametrize("model", RECIPES)
def test_what_is_not_given_is_the_models_own_and_what_is_given_holds(model):
    own = TrainConfig(model=model)
    for name in OPTIONS:
        known = getattr(own, name) is not None
        assert known <= (name in takes(model))
    given = TrainConfig(model=model, lr=0.1, optimizer="sgd", eval_every=3, steps=7)
    assert (given.lr, given.optimizer, given.eval_every, given.steps) == (
        0.1, "sgd", 3, 7,
    )  # fmt: skip
    assert TrainConfig.from_dict(own.to_dict()) == own
    assert own.reads_sequences == network.reads_sequences(own.network(5))


def test_a_runs_name_tells_its_model(tmp_path):
    """The lecture's network is the one that is not named."""
    gru = dataclasses.replace(config_of("gru", tmp_path), name=None, context=5)
    ninja = TrainConfig(data=gru.data, runs=gru.runs)
    folders = [opening.new_folder(c, examples.dataset_of(c)) for c in (gru, ninja)]
    assert [f.name for f in folders] == ["items-gru-network-1", "items-network-1"]


def test_makemores_recipe():
    config = TrainConfig(model="transformer")
    assert (config.lr, config.beta2, config.weight_decay) == (5e-4, 0.99, 0.01)
    assert (config.optimizer, config.batch_size, config.split) == (
        "adamw", 32, "makemore",
    )  # fmt: skip
    assert (config.layers, config.heads, config.embedding) == (4, 4, 64)
    assert float(schedule(config)(10**6)) == pytest.approx(5e-4)
    assert (config.hidden, config.batchnorm, config.ddof) == (None, None, None)


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        ("bigram", {"layers": 2}, "layers is 2, expected none: .* only split, co"),
        ("gru", {"batchnorm": "all"}, "batchnorm is 'all', expected none: .* gru"),
        ("transformer", {"hidden": 5}, "hidden is 5, expected none"),
        ("transformer", {"heads": 5}, "heads is 5, .* divisor of embedding, .* 64"),
        ("wavenet", {"context": 6}, "context is 6"),
        ("lstm", {"route": "mine.py"}, "route is 'mine.py', .* not of lstm"),
        ("rnn", {"engine": "kernel"}, "engine is 'kernel', expected xla.* rnn"),
    ],
)
def test_a_model_and_an_option_that_do_not_go_together(model, given, told):
    with pytest.raises(ConfigError, match=f"^{told}"):
        TrainConfig(model=model, **given)


def test_a_context_too_short_for_the_data_is_refused(tmp_path):
    config = dataclasses.replace(config_of("gru", tmp_path), context=4)
    with pytest.raises(ConfigError, match=r"context is 4, expected 5.* gru"):
        jaxninja.train(config, progress=QUIET)
    assert not (tmp_path / "runs").exists()


def test_a_call_reads_no_more_than_about_a_second_can_take():
    config = TrainConfig(model="gru", context=16)
    assert steps.longest_chunk(config) == 125
    assert steps.longest_chunk(TrainConfig()) == 1_000


def test_a_path_is_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for config, named in ((TrainConfig(), "names"), (GPT2, "tinyshakespeare")):
        given = dataclasses.replace(config, data="w.txt")
        assert examples.absolute(given).data == str(tmp_path / "w.txt")
        assert examples.absolute(config).data == named
    given = dataclasses.replace(GPT2, init_from="w", tokenizer_files=None)
    found = examples.absolute(given)
    assert (found.init_from, found.tokenizer_files) == (str(tmp_path / "w"), None)
