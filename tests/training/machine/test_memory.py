"""Sizes: what cannot fit is refused before anything is made, what can is not."""

from types import SimpleNamespace

import jax
import pytest

import jaxninja
from jaxninja.training import steps
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.machine import memory

GB = 10**9


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("hidden", 2_000_000),
        ("hidden", 2**31 - 1),
        ("embedding", 2**31 - 1),
        ("context", 10**6),
        ("batch_size", 10**9),
    ],
)
def test_what_cannot_fit_is_refused_by_its_field(field, size):
    config = TrainConfig(**{field: size})
    with pytest.raises(ConfigError, match=rf"^{field} is {size:,}, .*{24:.1f} GB"):
        memory.expect_to_fit(config, 27, 228_000, 24 * GB)


def test_the_lectures_network_fits_and_no_limit_refuses_nothing():
    memory.expect_to_fit(TrainConfig(), 27, 228_000, GB)
    memory.expect_to_fit(TrainConfig(hidden=10**9), 27, 228_000, None)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_estimate_of_the_parameters_is_theirs(optimizer, layers):
    route = "network" if layers == 1 else "rules"
    config = TrainConfig(
        optimizer=optimizer, layers=layers, hidden=300, embedding=40, route=route
    )
    state = jax.eval_shape(lambda: steps.init_state(config, config.network(27)))
    floats = [a.size for a in jax.tree.leaves((state, state.params))]
    told = memory.estimate(config, 27, 1)["hidden, embedding, context, layers"]
    assert 0.95 * 4 * sum(floats) < told <= 4 * sum(floats)


def test_there_is_a_limit_on_a_cpu_and_on_a_gpu():
    assert memory.available(jax.devices("cpu")[0]) > 10**8
    gpu = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": 7})
    assert memory.available(gpu) == 7


def test_no_folder_is_left(tmp_path):
    config = TrainConfig(hidden=2**31 - 1, runs=tmp_path / "runs")
    with pytest.raises(ConfigError, match="hidden is 2,147,483,647, but"):
        jaxninja.train(config)
    assert not list(tmp_path.iterdir())


def test_a_text_model_that_cannot_fit_is_told_what_takes_less():
    """124M parameters take 3.5 GB with all that goes along with them."""
    config = TrainConfig(model="gpt2", batch_size=64)
    parts = memory.estimate(config, 50_257, 1)
    assert parts["embedding, layers"] == 4 * 7 * 124_439_808
    kept = 4 * 10 * 12 * 64 * 1_024 * 768
    assert kept < parts["batch_size"] < 1.3 * kept
    ways = "--residuals 1C and --accumulate 64"
    told = rf"^batch_size is 64, .*with {ways} it would be 4\.2 GB$"
    with pytest.raises(ConfigError, match=told):
        memory.expect_to_fit(config, 50_257, 1, 24 * GB)
    wide = TrainConfig(model="gpt2", size="gpt2-xl", context=16)
    told = r"with --residuals 1C it would be still 4\d\.\d GB$"  # accumulated: 47
    with pytest.raises(ConfigError, match=told):
        memory.expect_to_fit(wide, 50_257, 1, 24 * GB)
    less = TrainConfig(model="gpt2", batch_size=64, residuals="1C", accumulate=16)
    memory.expect_to_fit(less, 50_257, 1, 24 * GB)
