"""A line of PyTorch, and what it is in JAX."""

import ast

import pytest

from jaxninja.workbook.pytorch.cells import lines
from jaxninja.workbook.pytorch.changes import Translator
from jaxninja.workbook.pytorch.errors import NoTranslation
from jaxninja.workbook.pytorch.files import Cell


def translated(text: str) -> str:
    translator = Translator({"tf": "torch.nn.functional"}, {})
    found = [translator.translated(line.node) for line in lines(Cell(1, True, text))]
    return "\n".join(ast.unparse(node) for nodes in found for node in nodes)


@pytest.mark.parametrize(
    ("torch", "jax"),
    [
        ("x.sum(1, keepdim=True)", "x.sum(1, keepdims=True)"),
        ("torch.sum(x, dim=[0, 1])", "x.sum((0, 1))"),
        ("x.var(0, keepdim=True)", "x.var(0, ddof=1, keepdims=True)"),
        ("torch.var(x, 0, unbiased=False)", "x.var(0, ddof=0)"),
        ("x.std(0, correction=0)", "x.std(0, ddof=0)"),
        ("x.max(1)[1]", "x.argmax(1)"),
        ("torch.max(x, dim=1, keepdim=True).values", "x.max(1, keepdims=True)"),
        ("torch.max(x, y)", "jnp.maximum(x, y)"),
        ("x.max()", "x.max()"),
        ("x.view(-1)", "x.reshape(-1)"),
        ("x.view(y.size())", "x.reshape(y.shape)"),
        ("x.flatten(1)", "x.reshape(*x.shape[:1], -1)"),
        ("x.expand(3, -1)", "jnp.broadcast_to(x, (3, x.shape[-1]))"),
        ("x.to(device)", "x"),
        ("x.to(torch.float32)", "x.astype(float)"),
        ("torch.zeros(3, n, dtype=torch.float, device=d)", "jnp.zeros((3, n))"),
        ("torch.ones(x.shape)", "jnp.ones(x.shape)"),
        ("tf.softmax(x, dim=-1)", "jax.nn.softmax(x, -1)"),
        ("torch.where(x > 0, x, -x)", "jnp.where(x > 0, x, -x)"),
        ("x[list(range(n)), y]", "x[jnp.arange(n), y]"),
        ("x[[0, 2]]", "x[jnp.array([0, 2])]"),
        ("x.gather(1, y)", "jnp.take_along_axis(x, y, 1)"),
        ("np.zeros(3) + math.sqrt(2)", "np.zeros(3) + math.sqrt(2)"),
        ("x[range(n), Yb] = 1", "x = x.at[jnp.arange(n), Yb].set(1)"),
        ("x[range(n), Yb] -= 1", "x = x.at[jnp.arange(n), Yb].subtract(1)"),
        ("x[2][:, 1] *= 3", "x = x.at[2, :, 1].multiply(3)"),
        ("x[:, 0] = y", "x = x.at[:, 0].set(y)"),
        ("x[Xb] += y", "x = x.at[Xb].set(x[Xb] + y)"),
        ("x[x > 0] = 1", "x = jnp.where(x > 0, 1, x)"),
        ("x[x > 0] += 1", "x = jnp.where(x > 0, x + 1, x)"),
        ("x.mul_(y).div_(2)", "x = x * y / 2"),
        ("x[0].add_(y)", "x = x.at[0].set(x[0] + y)"),
        ("x.zero_()", "x = jnp.zeros_like(x)"),
        ("x.index_add_(1, i, y, alpha=-1)", "x = x.at[:, i].add(-1 * y)"),
        ("x.data -= y", "x -= y"),
    ],
)
def test_a_line(torch, jax):
    assert translated(torch) == jax


def test_names_are_known_from_the_lines_above():
    text = "m = x == y\nr = range(n)\nbest = x.max(1)\nz[m] = 1\nz[r, Yb] += 1\nbest[0]"
    assert translated(text).splitlines()[3:] == [
        "z = jnp.where(m, 1, z)",
        "z = z.at[r, Yb].add(1)",
        "best[0]",
    ]


@pytest.mark.parametrize(
    ("torch", "why"),
    [
        ("x.frobnicate(1)", ".frobnicate(...) has no counterpart"),
        ("torch.randn(3)", "torch.randn(...) has no counterpart"),
        ("x.sum(1, True, 3, 4)", "arguments that are not known"),
        ("x.sum(dim=1, out=y)", "out=) has no counterpart"),
        ("F.one_hot(x)", "give num_classes"),
        ("F.softmax(x)", "give dim"),
        ("torch.zeros(3, dtype=torch.complex64)", "dtype torch.complex64"),
        ("y = x.add_(1)", "changes x besides"),
        ("x.T[0] = 1", "x.T is changed, and has no name"),
        ("x[Xb][0] = 1", "an index of an index"),
        ("x[Xb].add_(1)", "a copy"),
        ("a, x[0] = 1, 2", "x[0] is assigned together with others"),
        ("y = x.grad", "PyTorch's own gradient"),
        ("try:\n  y = 1\nfinally:\n  y = 2", "of this kind (try)"),
        ("def f(x):\n  x += 1\n  return x", "f changes its argument x"),
    ],
)
def test_what_has_no_counterpart(torch, why):
    with pytest.raises(NoTranslation) as error:
        translated(torch)
    assert why in error.value.sentence


def test_lines_are_read_as_the_notebook_runs_them():
    text = "%%time\n  x = 1  # one\n  !ls\n  y = )\n  # above\n  z = (x\n    + 2)\n"
    one, broken, two = lines(Cell(7, True, text))
    assert (one.number, one.behind, one.place) == (2, "# one", "cell 7, line 2")
    assert (broken.number, broken.node) == (4, None)
    assert (two.number, two.comments) == (6, ("# above",))
    assert two.text.splitlines()[0].strip() == "z = (x"
