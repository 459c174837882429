"""Losses of several runs."""

from jaxninja import plots
from tests.plots.records import words


def test_losses_of_several_runs():
    metrics = [{"step": s, "train_loss": v} for s, v in ((1, 2.0), (2, None), (3, 1.0))]
    figure = plots.losses_of_runs({"one": metrics, "two": metrics[:1], "none": []})
    assert words(figure) == ["one", "two"]
