"""Configurations: what is refused, and that they survive a round trip."""

import dataclasses
import json

import pytest

from jaxninja.config import ConfigError, TrainConfig
from jaxninja.models.mlp import MLP

BAD = [
    ("steps", 0, "1 or more"),
    ("steps", 1.5, "1 or more"),
    ("batch_size", 0, "1 or more"),
    ("hidden", -3, "1 or more"),
    ("context", 0, "1 or more"),
    ("keep", 0, "1 or more"),
    ("samples", -1, "0 or more"),
    ("lr", -0.1, "a finite number above 0"),
    ("lr", float("nan"), "a finite number above 0"),
    ("lr", float("inf"), "a finite number above 0"),
    ("eps", 0.0, "a finite number above 0"),
    ("clip", 0.0, "a finite number above 0"),
    ("weight_decay", -1.0, "0 or more"),
    ("bn_momentum", 1.5, "above 0 and at most 1"),
    ("ddof", 2, "0 (the paper) or 1 (the lecture)"),
    ("seed", 2**31, "an integer of 32 bits"),
    ("route", "magic", "one of network, rules, autodiff"),
    ("optimizer", "lion", "one of sgd, momentum, rmsprop, adam, adamw"),
    ("device", "tpu", "one of auto, cpu, gpu"),
    ("dtype", "float16", "one of float32, bfloat16"),
    ("matmul_precision", "low", "one of default, high, highest"),
]


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_a_bad_field_is_named(field, value, expected):
    with pytest.raises(ConfigError) as error:
        TrainConfig(**{field: value})
    assert str(error.value).startswith(f"{field} is {value!r}, expected ")
    assert expected in str(error.value)


def test_a_batch_of_one_needs_ddof_0():
    with pytest.raises(
        ConfigError, match="batch_size is 1, expected 2 or more: with ddof 1"
    ):
        TrainConfig(batch_size=1)
    assert TrainConfig(batch_size=1, ddof=0).batch_size == 1


def test_round_trip_through_json():
    config = TrainConfig(lr=0.3, clip=1.0, name="x")
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_field_is_refused():
    with pytest.raises(
        ConfigError, match="unknown field 'hiden'; did you mean 'hidden'"
    ):
        TrainConfig.from_dict({"hiden": 3})


def test_the_defaults_are_the_lectures():
    config = TrainConfig()
    assert config.model(27) == MLP(27, 3, 10, 200, 1e-5, 1)
    assert (config.steps, config.batch_size) == (200_000, 32)
    assert (config.lr, config.lr_drop_at, config.lr_drop) == (0.1, 100_000, 0.1)


def test_every_field_is_documented():
    documented = TrainConfig.__doc__.split("Attributes:")[1]
    for field in dataclasses.fields(TrainConfig):
        assert f"\n        {field.name}: " in documented
