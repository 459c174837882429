"""Configurations: what is refused, and that they survive a round trip."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models.ninja import Ninja
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.loop import train
from jaxninja.training.options.values import shown

BAD = [
    ("steps", 0, "1 or more"),
    ("steps", 1.5, "an integer"),
    ("steps", "5", "an integer; did you mean 5?"),
    ("steps", True, "an integer; did you mean 1?"),
    ("steps", float("nan"), "an integer"),
    ("steps", 2**31, "at most 2,147,483,647"),
    ("lr_drop_at", 10**12, "at most 2,147,483,647"),
    ("layers", 10**6, "at most 1,000"),
    ("seed", None, "an integer"),
    ("hidden", [3], "an integer"),
    ("lr", "0.1", "a number; did you mean 0.1?"),
    ("lr", 10**400, "a number"),
    ("lr", 1j, "a number"),
    ("data", 5, "text or a path"),
    ("data", b"names", "text or a path; did you mean 'names'?"),
    ("keep_best", "no", "True or False; did you mean False?"),
    ("keep_best", 1, "True or False; did you mean True?"),
    ("device", None, "one of auto, cpu, gpu"),
    ("model", "grus", "one of ninja, bigram, mlp, bow, rnn, gru, lstm, transformer"),
    ("model", None, "one of ninja"),
    ("split", "thirds", "one of lecture, makemore"),
    ("beta2", 1.0, "0 or more and below 1"),
    ("heads", 2, "none: model ninja has only split, context, "),
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
    ("engine", "cuda", "one of xla, kernel"),
]


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_a_bad_field_is_named(field, value, expected):
    with pytest.raises(ConfigError) as error:
        TrainConfig(**{field: value})
    given = shown(value)
    assert str(error.value).startswith(f"{field} is {given}, expected ")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden", 64), ("optimizer", "adam"), ("dtype", "bfloat16"), ("route", "rules")],
)
def test_the_kernel_is_for_the_lectures_training_alone(field, value):
    with pytest.raises(ConfigError) as error:
        TrainConfig(engine="kernel", **{field: value})
    assert str(error.value).startswith("engine is 'kernel', expected xla: ")
    assert f"{field} {value}" in str(error.value)


def test_a_batch_of_one_needs_ddof_0():
    with pytest.raises(ConfigError, match=r"batch_size is 1, expected 2.* ddof 1"):
        TrainConfig(batch_size=1)
    assert TrainConfig(batch_size=1, ddof=0).batch_size == 1


def test_a_batch_of_one_is_allowed_where_there_is_no_variance():
    assert TrainConfig(batch_size=1, batchnorm="none", route="rules").batch_size == 1


def test_what_equals_a_plain_value_is_one():
    config = TrainConfig(
        seed=np.int64(3),
        steps=2e3,
        hidden=jnp.int32(7),
        lr=np.float32(0.5),
        clip=jnp.float32(2),
        eps=np.array(0.25),
        weight_decay=0,
        keep_best=np.bool_(False),
        data=Path("some/words.txt"),
        runs=Path("runs"),
        optimizer=np.str_("adam"),
    )
    plain = TrainConfig(
        seed=3,
        steps=2000,
        hidden=7,
        lr=0.5,
        clip=2.0,
        eps=0.25,
        weight_decay=0.0,
        keep_best=False,
        data="some/words.txt",
        runs="runs",
        optimizer="adam",
    )
    assert config == plain
    assert hash(config) == hash(plain)
    assert json.dumps(config.to_dict()) == json.dumps(plain.to_dict())


def test_a_value_under_trace_is_refused():
    with pytest.raises(ConfigError, match=r"lr is .*, expected a number"):
        jax.jit(lambda lr: TrainConfig(lr=lr))(0.1)


def test_an_error_shows_no_endless_value():
    with pytest.raises(ConfigError) as error:
        TrainConfig(hidden=np.zeros(10_000))
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    ("args", "fields", "told"),
    [
        ((), {"steps": 5}, r"train\(TrainConfig\(steps=5\)\)"),
        (({"steps": 5},), {}, r"train\(TrainConfig\(steps=5\)\)"),
        ((), {"stepz": 5}, "unknown field 'stepz'; did you mean 'steps'"),
        ((), {"lr": "0.1"}, "lr is '0.1', expected a number"),
        (("runs/x",), {}, r"train\(resume='runs/x'\)"),
        ((5,), {}, "config is 5, expected a TrainConfig"),
        ((), {"resume": 5}, "resume is 5"),
    ],
)
def test_what_is_given_in_place_of_a_configuration(args, fields, told):
    with pytest.raises(ConfigError, match=told):
        train(*args, **fields)


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
    assert config.network(27) == Ninja(27, 3, 10, 200, 1e-5, 1)
    assert (config.steps, config.batch_size) == (200_000, 32)
    assert (config.lr, config.lr_drop_at, config.lr_drop) == (0.1, 100_000, 0.1)


def test_every_field_is_documented():
    documented = TrainConfig.__doc__.split("Attributes:")[1]
    for field in dataclasses.fields(TrainConfig):
        assert f"\n        {field.name}: " in documented
