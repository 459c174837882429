"""What is PyTorch's, and what changes nothing, by its text."""

import ast

import pytest

from jaxninja.workbook.diagnosis import leftovers

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
}


@pytest.mark.parametrize("code", FOREIGN)
def test_each_has_its_form_in_jax(code):
    hint = next(leftovers.foreign(ast.parse(f"pass\n{code}").body))
    assert (hint.code, hint.line) == ("torch", 2)
    assert FOREIGN[code] in hint.sentence


def test_what_is_jaxs_own_is_not_foreign():
    code = "dx = jnp.exp(y) + np.log(z) + jax.nn.relu(y).sum(1, keepdims=True)"
    code += "\nfor k in range(n):\n    dx = dx.at[k].add(jnp.tanh(y.T)[k])"
    body = ast.parse(code).body
    assert [*leftovers.foreign(body), *leftovers.dropped(body)] == []


@pytest.mark.parametrize(
    ("code", "told"),
    [("if n:\n    x.at[i].set(y)", ("dropped", 2, "x", "set")),
     ("x[i] = y", ("in place", 1, "x", "set")),
     ("x[i] += y", ("in place", 1, "x", "add"))],
)  # fmt: skip
def test_what_changes_nothing_is_told_with_its_line(code, told):
    body = ast.parse(code).body
    (hint,) = [*leftovers.dropped(body), *leftovers.in_place(body)]
    assert (hint.code, hint.line, hint.facts["root"], hint.facts["method"]) == told
