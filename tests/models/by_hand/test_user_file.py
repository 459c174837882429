"""A learner's file as the route of a training run."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import TrainConfig, train
from jaxninja.cli import main
from jaxninja.errors import TrainError
from jaxninja.models import ninja, routes
from jaxninja.models.by_hand import user_file
from jaxninja.models.ninja import Ninja
from jaxninja.training import gradient_check, steps
from jaxninja.training.config import ConfigError
from jaxninja.training.steps import programs
from jaxninja.workbook.exercises import EXERCISES
from tests.runs import Heard

MODEL = Ninja(7, 2, 3, 5)
GRAD = """
import jax
from jaxninja.models.atomic import forward

def backward(Xb, Yb, C, W1, b1, W2, b2, bngain, bnbias):
    params = dict(C=C, W1=W1, b1=b1, W2=W2, b2=b2, bngain=bngain, bnbias=bnbias)
    grads = {}(lambda p: forward(p, Xb, Yb)["loss"])(params)
    return tuple(grads[k] for k in ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias"))
"""


def batch(model, n=6):
    key = jax.random.key(0)
    params = ninja.init(key, model)
    ids = jax.random.randint(key, (n, model.context), 0, model.vocabulary)
    return params, ids, ids[:, 0]


@pytest.mark.parametrize("number", [1, 4])
def test_the_solutions_are_routes(number, file):
    route = file(EXERCISES[number].solution)
    arguments = batch(MODEL)
    mine, plain = (
        jax.jit(routes.value_and_grad(r, MODEL)) for r in (route, "autodiff")
    )
    (loss, statistics), grads = mine(*arguments)
    (expected, theirs), truth = plain(*arguments)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    for name in statistics:
        np.testing.assert_allclose(statistics[name], theirs[name], rtol=1e-5)
    for name, grad in truth.items():
        np.testing.assert_allclose(grads[name], grad, atol=1e-6)
    said = user_file.proof(route, MODEL, 6)
    count = int(said.split("none of the ")[1].split()[0])
    assert count > 30


@pytest.mark.parametrize(
    "hidden", ["jax.grad", "jax.jit(jax.grad", "jax.jacfwd", "jax.jacrev"]
)
def test_autodiff_is_seen_through(hidden, file):
    call = hidden if "jit" not in hidden else "(lambda f: jax.jit(jax.grad(f)))"
    route = file(GRAD.format(call))
    with pytest.raises(user_file.RouteError, match="uses automatic differentiation"):
        user_file.proof(route, MODEL, 6)


def test_a_callback_hides_what_runs(file):
    text = EXERCISES[4].solution.replace(
        "db1 = dhprebn.sum(0)",
        "db1 = jax.pure_callback(lambda x: x.sum(0), W1[0], dhprebn)",
    )
    with pytest.raises(user_file.RouteError, match="callback"):
        user_file.proof(file(text), MODEL, 6)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from jaxninja.engine import value_and_grad", "calls jaxninja.engine."),
        (
            "def value_and_grad(f): return lambda x: (0, f(x + 1e-30j).imag / 1e-30)",
            "computes with complex numbers",
        ),
    ],
)
def test_other_machines_are_seen_through(line, told, file):
    """The engine by its frames, the complex step by its numbers."""
    code = (
        "db1 = dhprebn.sum(0) + 0 * value_and_grad(lambda x: (x * x).sum())(W1[0])[1]"
    )
    text = EXERCISES[4].solution.replace("db1 = dhprebn.sum(0)", code)
    route = file(text.replace("import jax\n", f"import jax\n{line}\n", 1))
    with pytest.raises(user_file.RouteError, match=told):
        user_file.proof(route, MODEL, 6)


def test_jax_jnp_and_np_are_there_without_an_import(file):
    """As in the exercises' check: a file that passes it is a route."""
    text = EXERCISES[4].solution
    for line in ("import jax\n", "import jax.numpy as jnp\n"):
        text = text.replace(line, "", 1)
    assert "import jax" not in text
    assert "none of the" in user_file.proof(file("\ufeff" + text), MODEL, 6)


def test_transpose_is_no_autodiff(file):
    text = EXERCISES[4].solution.replace("W2.T", "jax.jit(jnp.transpose)(W2)")
    assert "none of the" in user_file.proof(file(text), MODEL, 6)


SEVEN = "return dC, dW1, db1, dW2, db2, dbngain, dbnbias"
FOUR = EXERCISES[4].solution
BAD = {
    "def backward(": "mine.py:1: ",
    "x = 1 / 0": "mine.py:1: ZeroDivisionError: division by zero",
    "x = 1": "has no function 'backward'",
    "def backward(loggits): pass": "asks for loggits, which the forward pass",
    FOUR.replace(SEVEN, "return dC, dW1"): "it returned a tuple of 2",
    FOUR.replace(SEVEN, "pass"): "it returned a NoneType",
    FOUR.replace(SEVEN, SEVEN.replace("dC", "None")): "dC is None, expected (7, 3)",
    FOUR.replace("dlogits.sum(0)", "dlogits"): "db2 is of shape (6, 7), expected (7,)",
    FOUR.replace("dh = dlogits @ W2.T", "dh = dlogits @ W2"): "TypeError: dot_general",
    FOUR.replace(
        "@ W2.T", "@ __import__('numpy').array(W2).T"
    ): "compiled: use jnp, as",
    FOUR.replace("@ W2.T", "@ W2.T * float(W2[0, 0])"): "before there are numbers: int",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_is_no_route_is_told(text, file):
    with pytest.raises(user_file.RouteError) as caught:
        user_file.proof(file(text), MODEL, 6)
    assert BAD[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_constants_than_the_lectures_are_refused(file):
    with pytest.raises(user_file.RouteError, match="eps 1e-05 and ddof 1; the config"):
        user_file.value_and_grad(file(FOUR), dataclasses.replace(MODEL, ddof=0))
    with pytest.raises(user_file.RouteError, match="No such file"):
        user_file.value_and_grad("nowhere.py", MODEL)
    with pytest.raises(ConfigError, match=r"or the path of a \.py file"):
        TrainConfig(route="magic")


@pytest.fixture
def config(tmp_path, file):
    sizes = {"hidden": 16, "embedding": 4, "batch_size": 16, "samples": 20}
    every = {"eval_every": 20, "checkpoint_every": 20, "log_every": 20, "diagnose": 0}
    route = file(FOUR)
    runs = str(tmp_path / "runs")
    return TrainConfig(steps=40, route=route, runs=runs, **sizes, **every)


def test_an_edited_file_is_another_version_and_cannot_resume(config, file):
    version = user_file.version(config.route)
    run = train(dataclasses.replace(config, samples=0), progress=Heard())
    assert run.path.name == "names-mine-1"
    assert (run.path / "route.py").read_text() == FOUR
    assert run.result["val_loss"] < 3.3  # log 27: it learned something
    file(FOUR + "# edited")
    assert user_file.version(config.route) != version
    with pytest.raises(ConfigError, match="has changed since the run began"):
        train(dataclasses.replace(config, steps=60), resume=run.path, progress=Heard())


def test_what_is_compiled_depends_on_the_text(config, file, monkeypatch):
    """A training step is compiled once for each version of the file."""
    seen = []
    made = lambda *_, **__: seen.append(1) or Fake()  # noqa: E731
    monkeypatch.setattr(programs, "make_advance", made)
    for text in (FOUR, FOUR, FOUR + "# edited"):
        file(text)
        zeros = jnp.zeros((5, 3), jnp.int32)
        steps.program(config, MODEL, steps.Items(zeros, zeros[:, 0]))
    assert len(seen) == 2


def test_the_check_of_gradients_sees_the_files_text(config, file):
    """An edit between two checks in one process: nothing of the first is left."""
    params, ids, labels = batch(MODEL, 40)
    run = SimpleNamespace(step=0, config=config, params=params, model=MODEL)
    run.batch = lambda step: (ids, labels)
    heard = Heard()
    gradient_check.at(run, {0}, heard)
    assert "gradients at step 0: worst" in heard.lines[0]
    file(FOUR.replace("dW2 = h.T @ dlogits", "dW2 = 2 * h.T @ dlogits"))
    with pytest.raises(TrainError, match="the gradient of W2 by route"):
        gradient_check.at(run, {0}, heard)


class Fake:
    """In place of a jitted function: lower(...).compile()."""

    def lower(self, *_):
        return self

    compile = lower


def test_the_command_ends_with_the_lectures_losses_and_twenty_names(config, capsys):
    checked = ["--check-grads", "1", "--diagnose", "0"]
    small = [*checked, "--steps", "40", "--hidden", "16", "--embedding", "4", "--runs"]
    assert main(["train", "--route", config.route, *small, config.runs]) == 0
    out = capsys.readouterr().out
    assert "was made by autodiff" in out
    assert "gradients at step 0: worst" in out
    assert "the lecture, after 200,000 steps: train 2.0705, val 2.1099" in out
    assert "samples    20, of which" in out
    assert main(["train", "--route", "nowhere.py", "--runs", config.runs]) == 2
    assert "No such file" in capsys.readouterr().err
