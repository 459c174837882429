"""`jaxninja show` of a model: its page, and its whole backward pass."""

import pytest

from jaxninja import cli
from jaxninja.models.network import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_model_is_shown_with_its_backward_pass(name, capsys):
    assert cli.main(["show", name]) == 0
    out = capsys.readouterr().out
    for line in ("def init(", "def loss(", f"class {PAGES[name].sizes.__name__}:"):
        assert line in out
    by_hand = PAGES[name].by_hand
    assert out.count("def value_and_grad(") == bool(by_hand)
    if by_hand:
        assert "dlogits = " in out[out.index(f"# {by_hand.__name__}") :]


def test_a_name_of_both_shows_the_rule_and_the_model(capsys):
    assert cli.main(["show", "gru"]) == 0
    out = capsys.readouterr().out
    assert out.index("def gru_bwd(") < out.index("class Gru:")


def test_an_unknown_name_has_a_suggestion(capsys):
    assert cli.main(["show", "transfomer"]) == 2
    assert "did you mean 'transformer'" in capsys.readouterr().err
