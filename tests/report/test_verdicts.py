"""Sentences: each bound is crossed from both sides."""

from pathlib import Path

import pytest

from jaxninja.data.text import Vocabulary
from jaxninja.report import Gathered, findings, markup
from jaxninja.report.finding import Finding

WHOLE = {"low": 0.0, "high": 1.0, "counts": [8], "nonfinite": 0}
HEALTHY = {"mean": 0.0, "std": 0.6, "saturated": 0.03, "dead": 0.0, "constant": 0.0}


def run(**config):
    vocabulary = Vocabulary(("", *"abcdefghijklmnopqrstuvwxyz"))
    return Gathered(Path("run"), {"activation": "tanh", **config}, vocabulary)


def line(step=0, h=None, stds=(1e-3, 1e-3), update=-3.0, gap=0.03, **other):
    record = {
        "step": step,
        "loss": 3.3,
        "grad_norm": 1.0,
        "clipped": None,
        "activations": {
            f"h{i + 1}": {**HEALTHY, "histogram": WHOLE, **(h or {})}
            for i in range(len(stds))
        },
        "gradients": {f"h{i + 1}": {"std": s} for i, s in enumerate(stds)},
        "parameters": {"W1": {"update_data": update}, "b1": {"update_data": 9.0}},
        "batchnorm": {"1": {"mean": gap, "std": 0.01}},
    }
    return record | other


def levels(found, topic):
    return [f.level for f in findings(found) if f.topic == topic]


def judged(topic, record, **config):
    found = run(**config)
    found.diagnostics = [record]
    return levels(found, topic)[0]


@pytest.mark.parametrize(
    ("loss", "level"), [(3.3, "good"), (4.9, "good"), (5.0, "act"), (27.0, "act")]
)
def test_the_start(loss, level):
    assert judged("start", line(loss=loss)) == level


@pytest.mark.parametrize(
    ("kind", "h", "level"),
    [
        ("tanh", {}, "good"),
        ("tanh", {"saturated": 0.15}, "watch"),
        ("tanh", {"saturated": 0.3}, "act"),
        ("tanh", {"std": 0.01}, "act"),
        ("tanh", {"dead": 0.05}, "watch"),
        ("tanh", {"dead": 0.2}, "act"),
        ("tanh", {"constant": 1.0, "dead": 1.0}, "act"),
        ("tanh", {"histogram": WHOLE | {"nonfinite": 3}, "std": None}, "act"),
        ("relu", {"saturated": 0.5}, "good"),
        ("relu", {"saturated": 0.97}, "act"),
        ("sigmoid", {"std": 0.03}, "good"),
        ("gelu", {"saturated": 0.3}, "good"),
    ],
)
def test_activations(kind, h, level):
    assert judged("activations", line(h=h), activation=kind) == level


@pytest.mark.parametrize(
    ("stds", "level", "word"),
    [
        ((1e-3, 2e-3), "good", "alike"),
        ((1e-3,), "good", "in the hidden layer"),  # like no other
        ((1e-1, 1e-3), "act", "explodes"),
        ((1e-5, 1e-3), "act", "vanishes"),
        ((0.0, 1e-3), "act", "Dead"),
        ((None, 1e-3), "act", "--clip"),
    ],
)
def test_gradients(stds, level, word):
    found = run()
    found.diagnostics = [line(stds=stds)]
    said = next(f for f in findings(found) if f.topic == "gradients")
    assert said.level == level
    assert word in said.text + said.todo


@pytest.mark.parametrize(
    ("update", "level"),
    [(-3, "good"), (-2, "watch"), (-1, "act"), (-5, "watch"), (None, "act")],
)
def test_updates(update, level):
    assert judged("updates", line(update=update)) == level


def test_updates_are_judged_before_the_learning_rate_drops():
    found = run(lr_drop_at=100)
    late = [line(step, update=-9.0) for step in range(100, 200, 10)]
    found.diagnostics = [line(0), line(50), *late]
    assert levels(found, "updates") == ["good"]


@pytest.mark.parametrize(("gap", "level"), [(0.1, "good"), (0.5, "watch")])
def test_batchnorm(gap, level):
    assert judged("batchnorm", line(gap=gap)) == level
    assert judged("batchnorm", line(gap=None)) == "act"


@pytest.mark.parametrize(("share", "level"), [(0.01, "good"), (0.9, "watch")])
def test_clipping(share, level):
    assert judged("clipping", line(clipped=share)) == level


def test_a_run_that_failed_is_not_told_to_clip_less():
    found = run(clip=1.0)
    found.diagnostics = [line(clipped=0.9, stds=(None, 1e-3))]
    assert "raise --clip" in " ".join(f.todo for f in findings(found))
    found.failure = "at step 3. Train anew with a smaller --lr"
    said = findings(found)
    assert said[0].text.endswith("Train anew with a smaller --lr.")
    assert not any("--clip" in f.todo for f in said)


def test_an_outlier_of_the_norm_asks_for_clipping():
    found = run()
    found.diagnostics = [line(s) for s in range(5)]
    assert levels(found, "clipping") == []
    found.diagnostics[3]["grad_norm"] = 50.0
    assert levels(found, "clipping") == ["watch"]


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (2.0, 2.05, ["good"]),
        (1.5, 2.0, ["watch"]),
        (3.29, 3.3, ["act"]),
        (3.19, 3.2, ["good"]),
        (float("nan"), 2.0, []),
        (None, None, []),
    ],
)
def test_losses(train, val, expected):
    found = run()
    found.result = {"train_loss": train, "val_loss": val}
    assert levels(found, "loss") == expected


def test_dead_units_over_the_set():
    found = run()
    found.dead = {"h1": (0, 20), "h2": (1, 20), "h3": (15, 20)}
    assert levels(found, "activations") == ["good", "watch", "act"]


def test_dead_units_of_a_batch_are_not_judged_where_the_whole_set_is_known():
    """One sentence a layer: none says good where another says watch."""
    found = run()
    found.dead = {"h1": (0, 20), "h2": (5, 20)}
    found.diagnostics = [line(h={"dead": 0.05})]
    first, second = (f for f in findings(found) if f.topic == "activations")
    assert (first.level, second.level) == ("good", "act")
    assert "0 of 20 units are dead for all training examples (5.0% flat" in first.text
    assert "5 of 20 units are dead" in second.text


def test_the_gravest_part_of_a_sentence_decides():
    found = run()
    found.dead = {"h1": (1, 20)}
    found.diagnostics = [line(h={"saturated": 0.3}, stds=(1e-3,))]
    (only,) = (f for f in findings(found) if f.topic == "activations")
    assert only.level == "act"
    assert "--gain" in only.todo


def test_nothing_but_nan_is_said_of_a_layer_of_nan():
    found = run()
    found.dead = {"h1": (0, 20)}
    found.diagnostics = [line(h={"histogram": WHOLE | {"nonfinite": 3}}, stds=(1e-3,))]
    texts = [f.text for f in findings(found) if f.topic == "activations"]
    assert texts == ["h1: 3 values are NaN or infinite."]


def test_layers_are_compared_with_layers_of_their_kind():
    """What a block computes inside has gradients of another size than its result."""
    found = run()
    found.kinds = {"h1": "gelu", "h2": "residual", "h3": "gelu", "h4": "residual"}
    found.diagnostics = [line(stds=(1e-7, 1e-3, 1e-7, 1e-3))]
    assert levels(found, "gradients") == ["good"]


def test_no_line_breaks_within_an_option():
    said = Finding("updates", "watch", "fast", "Perhaps <b> a smaller --lr-drop.")
    html = markup.finding(said, "n")
    assert '&lt;b&gt; a smaller <span class="option">--lr-drop</span>.' in html
