"""No autodiff in a learner's lines, whatever it is called."""

import ast

import pytest

import jaxninja.engine
import jaxninja.workbook.solutions.exercise2  # noqa: F401
from jaxninja.workbook.code import refused_names
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered, lines

LOSS = "lambda x: -jax.nn.log_softmax(x, 1)[jax.numpy.arange(n), Yb].mean()"
NORMAL = "lambda x: bngain * (x - x.mean(0)) / jax.numpy.sqrt(x.var(0, ddof=1) + 1e-5)"
USED = {
    "grad": (1, "probs", "jax.grad(lambda p: (dlogprobs * jnp.log(p)).sum())(probs)"),
    "value_and_grad": (
        1,
        "h",
        "jax.value_and_grad(lambda h: ((h @ W2) * dlogits).sum())(h)[1]",
    ),
    "vjp": (1, "probs", "jax.vjp(jnp.log, probs)[1](dlogprobs)[0]"),
    "jvp": (1, "probs", "jax.jvp(jnp.log, (probs,), (dlogprobs,))[1]"),
    "linearize": (1, "probs", "jax.linearize(jnp.log, probs)[1](dlogprobs)"),
    "linear_transpose": (
        1,
        "probs",
        "jax.linear_transpose(lambda t: t / probs, probs)(dlogprobs)[0]",
    ),
    "jacrev": (
        1,
        "probs",
        "jax.jacrev(lambda p: (dlogprobs * jnp.log(p)).sum())(probs)",
    ),
    "jacfwd": (
        1,
        "probs",
        "jax.jacfwd(lambda p: (dlogprobs * jnp.log(p)).sum())(probs)",
    ),
    "in a loop": (
        1,
        "C",
        "for k in range(1):\n    dC = jax.grad(lambda c: (c[Xb] * demb).sum())(C)",
    ),
    "in NumPy": (
        1,
        "C",
        "np.asarray(jax.grad(lambda c: (c[Xb] * demb).sum())(C)) + float(C[0, 0]) * 0",
    ),
    "exercise 2": (2, "logits", f"jax.grad({LOSS})(logits)"),
    "exercise 3": (3, "hprebn", f"jax.vjp({NORMAL}, hprebn)[1](dhpreact)[0]"),
    "exercise 4": (4, "logits", f"jax.grad({LOSS})(logits)"),
}


def checked(number, name, code, head=""):
    text = head + answered(number, **{name: lines(name, code)})
    return check(number, text, "mine.py", explain=False), text


@pytest.mark.parametrize("what", USED)
def test_autodiff_is_told_kindly(what):
    number, name, code = USED[what]
    report, text = checked(number, name, code, "import jax\n")
    assert report.guilty.name == name
    assert f"d{name} uses automatic differentiation (jax." in report.message
    assert f"`jaxninja exercise hint {number}.{name}` helps" in str(report)
    assert code.splitlines()[0] in text.splitlines()[report.line - 1]
    assert report.hints == ()


def test_another_name_for_it_does_not_hide_it():
    """The equations tell, whatever the text says."""
    head = "import jax\nslope = getattr(jax, 'gr' + 'ad')\n"
    report, _ = checked(2, "logits", f"slope({LOSS})(logits)", head)
    assert "dlogits uses automatic differentiation (an equation" in report.message


def test_a_callback_hides_what_it_does():
    code = "jax.pure_callback(lambda x: x, logits, logits)"
    report, _ = checked(2, "logits", code)
    assert "dlogits hides what it does in a callback" in report.message


def test_what_is_returned_is_by_hand_too():
    text = answered(2).replace("return dlogits", f"return jax.grad({LOSS})(logits)")
    report = check(2, text, "mine.py")
    assert report.status == "error"
    assert "backward uses automatic differentiation (jax.grad)" in report.message


COMPLEX = "dprobs = jnp.log(probs + 1e-30j).imag / 1e-30 * dlogprobs"
READY = {
    "engine": (
        1,
        "h",
        "getattr(engine, 'value_and_' + 'grad')("
        "lambda h: ((h @ W2) * dlogits).sum())(h)[1]",
    ),
    "solution": (2, "logits", "exercise2.backward(logits, Yb, n)"),
}


def test_what_has_gradients_ready_is_told_without_its_name():
    """By the frames of its equations, whatever the text calls it."""
    head = "import sys\nimport jax\nengine = sys.modules['jaxninja.engine']\n"
    head += "exercise2 = sys.modules['jaxninja.workbook.solutions.exercise2']\n"
    for what, (number, name, code) in READY.items():
        report, _ = checked(number, name, code, head)
        assert report.guilty.name == name
        assert f"d{name} calls jaxninja." in report.message
        assert what in report.message


def test_the_complex_step_is_a_numerical_derivative():
    report, _ = checked(1, "probs", COMPLEX)
    assert "dprobs uses a numerical derivative (the complex step" in report.message
    report, _ = checked(1, "probs", COMPLEX + " + 0 * float(probs[0, 0])")
    assert "numerical derivative" in report.message


REFUSED = {
    "from jaxninja.engine import value_and_grad": "imports jaxninja.engine",
    "import jaxninja.workbook.solutions.exercise1": "imports jaxninja.workbook",
    "import torch": "imports torch",
    "import importlib": "imports importlib",
    "exec('x = 1')": "exec() runs a text",
    "def f():\n    breakpoint()": "breakpoint() waits for a terminal",
    "import pdb\npdb.set_trace()": "set_trace() waits for a terminal",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_a_file_must_not_have_is_refused_with_its_line(line):
    report = check(2, f"{line}\n" + answered(2), "mine.py")
    assert report.status == "error"
    assert REFUSED[line] in report.message
    assert report.line == len(line.splitlines())


def test_names_in_a_text():
    def told(text):
        return refused_names.written(ast.parse(text))

    assert told("grad = h @ W2.T\ntranspose = grad.T") is None
    assert told("import jax\nx = jax.numpy.tanh(h)") is None
    assert told("f = jax.hessian(g)") == "uses automatic differentiation (jax.hessian)"
    assert "import vjp" in told("from jax import vjp as v")
