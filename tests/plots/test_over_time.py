"""Losses, ratios and norms against the step: gaps where nothing is finite."""

from unittest.mock import patch

import numpy as np

from jaxninja import plots
from jaxninja.plots import loss
from jaxninja.plots.loss import band, loss_curve, losses
from jaxninja.plots.over_time import median_update
from tests.plots.records import line, names


def test_courses_leave_gaps_where_nothing_is_finite():
    lines = [line(0), line(10, number=None), line(20)]
    figure = plots.update_ratios(lines)
    y = figure.axes[0].get_lines()[0].get_ydata()
    assert [bool(v) for v in np.isnan(y)] == [False, True, False]
    assert {*names(figure)} == {"C", "W1", "W2", "about right"}
    assert names(plots.gradient_norms(lines, 2.0)) == ["norm", "clip 2"]
    assert len(names(plots.batchnorm_gaps(lines))) == 2


def test_nothing_finite_at_all_is_a_sentence():
    lines = [line(0, number=None), line(10, number=None)]
    texts = [t.get_text() for t in plots.gradient_norms(lines).axes[0].texts]
    assert texts == ["no finite value to draw"]


def metrics(*losses):
    return [
        {"step": 10 * n, "train_loss": loss, "val_loss": loss if n % 2 else None}
        for n, loss in enumerate(losses, 1)
    ]


def test_a_rate_that_holds_is_marked_where_it_drops_and_a_cosine_is_not(tmp_path):
    def texts(rates, **how):
        lines = [
            m | {"lr": lr}
            for m, lr in zip(metrics(3.0, 2.5, 2.0, 1.5), rates, strict=True)
        ]
        with patch.object(loss, "save") as save:
            loss_curve(
                lines, {"train_loss": 1.0, "val_loss": None}, "", tmp_path, **how
            )
        axes = save.call_args.args[0].axes[0]
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        return [text.get_text() for text in axes.texts], legend

    marks, legend = texts((0.1, 0.1, 0.01, 0.01))
    assert marks == [" lr 0.01"]
    assert legend[1:] == [
        "val, running statistics",
        "train at the end, calibrated: 1.0000",
    ]
    marks, legend = texts((0.1, 0.08, 0.04, 0.01), normalised=False)
    assert marks == []
    assert legend[1:] == ["val", "train at the end: 1.0000"]


def test_losses_of_a_run_have_train_and_val_and_begin_where_they_do():
    axes = plots.losses_of_runs({"one": metrics(3.0, None, 2.5, 2.0)}).axes[0]
    assert {text.get_text() for text in axes.texts} == {"train", "val"}
    assert axes.get_xlim() == (10, 40)
    train, val = axes.get_lines()
    assert list(train.get_xdata()) == [10, 30, 40]
    assert list(val.get_ydata()) == [3.0, 2.5]


def test_several_runs_differ_without_colour_and_a_run_has_one_look():
    runs = {"a": metrics(3, 2.5, 2), "b": metrics(3, 2.6, 2.2), "none": []}
    a_train, a_val, b_train, b_val = plots.losses_of_runs(runs).axes[0].get_lines()
    assert a_train.get_linestyle() == a_val.get_linestyle() != b_val.get_linestyle()
    assert a_val.get_marker() != b_val.get_marker()
    assert b_train.get_marker() == "None"
    groups = [line.get_gid() for line in (a_train, a_val, b_train, b_val)]
    assert groups == ["curve-0", "curve-0", "curve-1", "curve-1"]


def test_runs_of_very_different_loss_are_told_apart():
    near = metrics(3.0, 2.4, 2.2, 2.1), metrics(3.0, 2.5, 2.3, 2.2)
    runs = dict(zip("ab", near, strict=True)) | {
        "far": metrics(3000, 90, 60, 40),
        "less far": metrics(3000, 90, 9, 8),
    }
    assert plots.losses_of_runs(runs).axes[0].get_yscale() == "log"
    low, high = plots.losses_of_runs(runs, close=True).axes[0].get_ylim()
    assert low == 2.1
    assert 2.3 < high < 5
    del runs["far"], runs["less far"]
    assert band(losses(runs)) is None
    assert plots.losses_of_runs(runs).axes[0].get_yscale() == "linear"


def test_a_median_is_of_what_is_finite():
    lines = [line(0), line(10)]
    lines[0]["parameters"] |= {"W3": {"update_data": -3.0}, "W4": {"update_data": None}}
    assert median_update(lines[0], ["W1", "W3", "W4"]) == (0.5 - 3.0) / 2
    assert median_update(lines[0], ["W4"]) is None
