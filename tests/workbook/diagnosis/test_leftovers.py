"""What is PyTorch's, and what changes nothing, by its text."""

import ast

import pytest

from jaxninja.workbook.diagnosis import leftovers
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered

FOREIGN = {
    "dx = y.view(a, b)": "x.reshape(",
    "dx = y.clone()": "arrays do not change",
    "dx = y.sum(1, keepdim=True)": "keepdims=",
    "dx = y.sum(dim=1)": "axis=",
    "dx = y.max(1).indices": "x.argmax(1)",
    "dx = y[range(n), Yb]": "[jnp.arange(n)]",
    "dx = y.unsqueeze(1)": "x[:, None]",
    "dx = torch.zeros_like(y)": "jnp has",
    "dx = F.one_hot(y, num_classes=V)": "see jax.nn",
    "dx = y.exp()": "jnp.exp(x)",
    "dx = y.div(z)": "x / y",
    "y.add_(z)": "x = x + y",
    "dx = y.softmax(1)": "jax.nn.softmax(",
}


@pytest.mark.parametrize("code", FOREIGN)
def test_each_has_its_form_in_jax(code):
    hint = next(leftovers.foreign(ast.parse(f"pass\n{code}").body))
    assert (hint.code, hint.line) == ("torch", 2)
    assert FOREIGN[code] in hint.sentence


def test_what_is_jaxs_own_is_not_foreign():
    code = "dx = jnp.exp(y) + np.log(z) + jax.nn.relu(y).sum(1, keepdims=True)"
    code += "\nfor k in range(n):\n    dx = dx.at[k].add(jnp.tanh(y.T)[k])"
    code += "\ndx = dx.at[k].mul(2)"
    body = ast.parse(code).body
    assert [*leftovers.foreign(body), *leftovers.dropped(body)] == []


@pytest.mark.parametrize(
    ("code", "told"),
    [("if n:\n    x.at[i].set(y)", ("dropped", 2, "x", "set")),
     ("x[i] = y", ("in place", 1, "x", "set")),
     ("x[i] += y", ("in place", 1, "x", "add")),
     ("x[i] -= y", ("in place", 1, "x", "subtract"))],
)  # fmt: skip
def test_what_changes_nothing_is_told_with_its_line(code, told):
    body = ast.parse(code).body
    (hint,) = [*leftovers.dropped(body), *leftovers.in_place(body)]
    assert (hint.code, hint.line, hint.facts["root"], hint.facts["method"]) == told


def hints(code):
    return check(1, answered(1, logprobs=code), "exercise1.py").hints


def test_what_raised_comes_first_and_all_of_its_line_is_told():
    code = "dlogprobs = {}.zeros_like(logprobs)\ndlogprobs[range(n), Yb] = -1.0 / n"
    found = hints(code.format("jnp"))
    assert [hint.code for hint in found] == ["in place", "torch"]
    assert "dlogprobs = dlogprobs.at[...].set(" in str(found[0])
    assert "[jnp.arange(n)]" in str(found[1])


def test_two_axes_of_transpose_are_pytorchs():
    code = "jnp.zeros((n, 1, 1)).transpose(1, 2)"
    (hint,) = hints(f"dlogprobs = logprobs + {code}")
    assert "x.swapaxes(1, 2)" in str(hint)


def test_an_update_without_its_method_is_told():
    found = hints("dlogprobs = jnp.zeros_like(logprobs).at[jnp.arange(n), Yb] - 1.0")
    assert [hint.code for hint in found] == ["unfinished"]


def test_an_array_of_numpys_changes_in_place():
    code = "d = np.zeros(probs.shape)\nd[0] += probs.unsqueeze(0)[0]\ndlogprobs = d"
    assert [hint.code for hint in hints(code)] == ["torch"]
