"""Reading a run's files: one line that names the file, the field and both values."""

import json

import pytest

from jaxninja.escaping import printable
from jaxninja.storage import records
from jaxninja.storage.records import RecordError
from jaxninja.training.config import TrainConfig
from jaxninja.training.runs.schema import (
    Description,
    Diagnosis,
    Metric,
    read_description,
)

METRIC = {"step": 3, "lr": 0.1, "train_loss": 2.5, "val_loss": None, "seconds": 1}
WHOLE = {
    "config": TrainConfig().to_dict(),
    "vocabulary": ["", "a", "b"],
    "data_sha256": "0" * 64,
}


def said(value, kind):
    with pytest.raises(RecordError) as error:
        records.check(value, kind, "FILE")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"step": 1.5}, "FILE: step is 1.5, expected int"),
        ({"step": True}, "FILE: step is True, expected int"),
        ({"step": -1}, "FILE: step is -1, expected int >= 0"),
        ({"lr": "fast"}, "FILE: lr is 'fast', expected float"),
        ({"lr": "\ud800"}, "FILE"),
        ({"val_loss": []}, "FILE: val_loss is [], expected float | null"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(change, text):
    assert said(METRIC | change, Metric).startswith(text)


@pytest.mark.parametrize("field", METRIC)
def test_a_missing_field_is_named(field):
    less = {name: value for name, value in METRIC.items() if name != field}
    assert f"{field} is missing" in said(less, Metric)


def test_text_that_is_no_unicode_is_refused():
    assert "FILE holds text that is no Unicode" in said("\ud800", Metric)


def test_what_fits_stays_as_it_is_unknown_fields_too():
    line = {**METRIC, "later": [1]}
    assert records.check(line, Metric, "FILE") is line


def test_deep_places_are_named():
    assert "config.lr is 'x', expected float" in said(
        WHOLE | {"config": {"lr": "x"}}, Description
    )
    wrong = WHOLE | {"config": {"init": "best"}}
    assert "config.init is 'best', expected one of part4, " in said(wrong, Description)
    assert "config: steps is 0" in said(WHOLE | {"config": {"steps": 0}}, Description)
    assert "vocabulary[1] is 7" in said(WHOLE | {"vocabulary": ["", 7]}, Description)
    assert "vocabulary was altered" in said(WHOLE | {"vocabulary": ["b"]}, Description)
    record = dict.fromkeys(("step", "loss", "grad_norm", "clipped"), 1)
    record |= {"activations": {"h": 3}}
    assert "activations[...] is int, expected object" in said(record, Diagnosis)
    lines = [METRIC, METRIC | {"lr": "x"}]
    assert "FILE: [1].lr is 'x', expected float" in said(lines, list[Metric])


@pytest.mark.parametrize("text", ["", "{", "[" * 10**5, '{"a": NaN}', "\0", "nonsense"])
def test_what_is_no_json_is_refused(text, tmp_path):
    (tmp_path / "f").write_text(text)
    with pytest.raises(RecordError, match=r"/f is .*, expected JSON"):
        records.read(tmp_path / "f", Metric)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RecordError, match="none does not exist"):
        records.read(tmp_path / "none", Metric)
    with pytest.raises(RecordError, match="cannot be read"):
        records.read(tmp_path, Metric)
    (tmp_path / "f").write_bytes(b"\xff")
    with pytest.raises(RecordError, match="/f is not UTF-8"):
        records.read(tmp_path / "f", Metric)


def test_a_configuration_of_an_earlier_version_has_the_defaults(tmp_path):
    file = tmp_path / "config.json"
    later = {"diagnose", "gain", "model", "split", "beta2", "heads"}
    old = {k: v for k, v in WHOLE["config"].items() if k not in later}
    file.write_text(json.dumps(WHOLE | {"config": old}))
    assert read_description(file).config == TrainConfig()
    file.write_text(json.dumps(WHOLE | {"config": {"layer": 3}}))
    with pytest.raises(RecordError, match=r"unknown field 'layer'.* mean 'layers'"):
        read_description(file)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("José $x$ 中", "José $x$ 中"),
        ("a\x1b[1mb\n", "a\\x1b[1mb\\n"),
        ("\udcff.txt", "\\xff.txt"),
        ("\u2028\ud800", "\\u2028\\ud800"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    shown.encode()
