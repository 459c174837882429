"""Configurations: what is refused, and that they survive a round trip."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models.ninja import Ninja
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.loop import train
from jaxninja.training.options.values import shown

# a field, what it is given, words of what is expected instead
BAD = [
    ("steps", 0, "1"),
    ("steps", 1.5, "integer"),
    ("steps", "5", "integer 5?"),
    ("steps", True, "integer 1?"),
    ("steps", float("nan"), "integer"),
    ("steps", 2**31, "2,147,483,647"),
    ("lr_drop_at", 10**12, "2,147,483,647"),
    ("layers", 10**6, "1,000"),
    ("seed", None, "integer"),
    ("hidden", [3], "integer"),
    ("lr", "0.1", "number 0.1?"),
    ("lr", 10**400, "number"),
    ("lr", 1j, "number"),
    ("data", 5, "text path"),
    ("data", b"names", "text path names"),
    ("keep_best", "no", "True False False?"),
    ("keep_best", 1, "True False True?"),
    ("device", None, "auto, cpu, gpu"),
    ("model", "grus", "ninja, bigram, mlp, bow, rnn, gru, lstm, transformer"),
    ("model", None, "ninja"),
    ("split", "thirds", "lecture, makemore"),
    ("beta2", 1.0, "0 1"),
    ("heads", 2, "ninja split, context,"),
    ("batch_size", 0, "1"),
    ("hidden", -3, "1"),
    ("context", 0, "1"),
    ("keep", 0, "1"),
    ("samples", -1, "0"),
    ("samples", 10**9, "1,000,000"),
    ("lr", -0.1, "finite 0"),
    ("lr", float("nan"), "finite 0"),
    ("lr", float("inf"), "finite 0"),
    ("lr", 1e-320, "finite 0 float32 1.2e-38"),
    ("clip", 1e39, "finite 0 float32 3.4e38"),
    ("eps", 0.0, "finite 0"),
    ("clip", 0.0, "finite 0"),
    ("weight_decay", -1.0, "0"),
    ("bn_momentum", 1.5, "0 1"),
    ("ddof", 2, "0 1"),
    ("seed", 2**31, "integer 32"),
    ("route", "magic", "network, rules, autodiff"),
    ("optimizer", "lion", "sgd, momentum, rmsprop, adam, adamw"),
    ("device", "tpu", "auto, cpu, gpu"),
    ("dtype", "float16", "float32, bfloat16"),
    ("matmul_precision", "low", "default, high, highest"),
    ("engine", "cuda", "xla, kernel"),
]


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_a_bad_field_is_named(field, value, expected):
    with pytest.raises(ConfigError) as error:
        TrainConfig(**{field: value})
    given, instead = str(error.value).split(", expected ")
    assert given == f"{field} is {shown(value)}"
    assert all(re.search(rf"\b{re.escape(w)}(?!\w)", instead) for w in expected.split())


def test_how_an_error_reads():
    with pytest.raises(ConfigError) as error:
        TrainConfig(steps="5")
    assert str(error.value) == "steps is '5', expected an integer; did you mean 5?"


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden", 64), ("optimizer", "adam"), ("dtype", "bfloat16"), ("route", "rules")],
)
def test_the_kernel_is_for_the_lectures_training_alone(field, value):
    with pytest.raises(ConfigError) as error:
        TrainConfig(engine="kernel", **{field: value})
    given, instead = str(error.value).split(", expected ")
    assert given == "engine is 'kernel'"
    assert instead.startswith("xla")
    assert f"{field} {value}" in instead


@pytest.mark.parametrize(
    ("vain", "heeded", "told"),
    [
        ({"weight_decay": 0.2}, {"optimizer": "adamw"}, "0.01: optimizer sgd .* adamw"),
        ({"beta2": 0.9}, {"optimizer": "adam"}, "0.999: optimizer sgd .* adam and"),
        (
            {"model": "gpt2", "tokenizer_files": "folder"},
            {"tokenizer": "gpt2", "tokenizer_files": None},
            "none: tokenizer byte has no files, only gpt2 has",
        ),
        (
            {"model": "gpt2", "tokenizer": "gpt2", "tokenizer_files": "folder"},
            {"tokenizer_files": None},
            "a folder with encoder.json and vocab.bpe",
        ),
        ({"lr_last": 0.2}, {"cosine": 50}, "0.1: without a cosine"),
        (
            {"model": "mlp", "lr_drop": 0.2},
            {"lr_drop_at": 50},
            "0.1: without a lr_drop_at",
        ),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(vain, heeded, told):
    name = [*vain][-1]
    with pytest.raises(ConfigError, match=rf"^{name} is .*, expected .*{told}"):
        train(TrainConfig(**vain))
    for heard in (vain | heeded, {"weight_decay": 0, "optimizer": "sgd"}):
        TrainConfig(**heard).expect_effect()


def test_a_batch_of_one_needs_ddof_0():
    with pytest.raises(ConfigError, match=r"batch_size is 1, .*2.*ddof 1"):
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
    with pytest.raises(ConfigError, match=r"lr is .*number"):
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
        ((), {"stepz": 5}, "'stepz'.*'steps'"),
        ((), {"lr": "0.1"}, "lr is '0.1'"),
        (("runs/x",), {}, r"train\(resume='runs/x'\)"),
        ((5,), {}, "config is 5, .*TrainConfig"),
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
    with pytest.raises(ConfigError, match=r"'hiden'.*'hidden'"):
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
