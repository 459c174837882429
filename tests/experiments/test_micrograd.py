"""The lecture's numbers, and networks that the engine trains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.micrograd import moons, neurons, scalars
from jaxninja.engine import trace

SEVENTH = 0.7071067811865476


def nodes(f, *inputs):
    named = scalars.named_nodes(trace(f, *inputs))
    return {label: (value, grad) for label, value, grad in named}


def grads(f, labels):
    found = nodes(f, *scalars.EXAMPLES[f])
    return [found[label][1] for label in labels]


def test_the_parabola():
    assert scalars.parabola(3.0) == 20
    assert scalars.slope(scalars.parabola, 2 / 3, 1e-6) == pytest.approx(2.999e-6, 1e-3)
    assert scalars.central_slope(scalars.parabola, 3.0, 1e-3) == pytest.approx(14)


def test_the_expression_and_the_nudge(x64):
    found = nodes(scalars.expression, *scalars.INPUTS)
    assert grads(scalars.expression, "abcdefL") == [6, -4, -2, -2, -2, 4, 1]
    assert [found[k][0] for k in "edL"] == [-6, 4, -8]
    assert scalars.nudge() == pytest.approx(-7.286496, abs=1e-12)


@pytest.mark.parametrize("f", [scalars.neuron, scalars.neuron_by_exp])
def test_the_neuron_with_tanh_whole_and_split(f, x64):
    found = nodes(f, *scalars.NEURON)
    assert found["n"][0] == pytest.approx(0.8813735870195432, abs=1e-15)
    assert found["o"] == pytest.approx((SEVENTH, 1.0))
    labels = ["x1", "w1", "x2", "w2", "b", "n"]
    assert grads(f, labels) == pytest.approx([-1.5, 1.0, 0.5, 0.0, 0.5, 0.5])
    if f is scalars.neuron_by_exp:
        assert found["e"] == pytest.approx((5.8284, 0.0429), abs=5e-5)


def test_nodes_that_are_used_again(x64):
    assert grads(scalars.twice, "a") == [2]
    assert grads(scalars.crossed, "abdef") == [-3, -8, 1, -6, 1]
    assert grads(scalars.diamond, "abc") == [4, 2, 1]


def test_the_readme_of_micrograd(x64):
    found = nodes(scalars.readme, -4.0, 2.0)
    assert found["g"][0] == pytest.approx(24.70408163265306, rel=1e-14)
    assert found["a"][1] == pytest.approx(138.83381924198252, rel=1e-14)
    assert found["b"][1] == pytest.approx(645.5772594752186, rel=1e-14)


def test_differences_are_worse(x64):
    _, one, two, walk = np.array(list(scalars.why_differences_are_worse())).T
    assert 1e-10 < one.min() < 1e-6
    assert 1e-14 < two.min() < 1e-10
    assert walk.max() < 1e-15


def test_41_parameters_learn_four_examples():
    params = neurons.init(0, 3, [4, 4, 1], bias=True)
    assert neurons.count(params) == 41
    trained, losses = neurons.train(params, 20, 0.1)
    assert losses[-1] < 0.05 < 1 < losses[0]
    np.testing.assert_array_equal(jnp.sign(neurons.predictions(trained)), neurons.Y)
    by_jax = neurons.train(params, 20, 0.1, jax.value_and_grad)[1]
    np.testing.assert_allclose(losses, by_jax, rtol=1e-3)


def test_a_layer_is_its_neurons():
    (params,) = neurons.init(1, 3, [2], bias=True)
    x = jnp.asarray(neurons.X[0])
    w, b = params["w"], params["b"]
    each = [float(neurons.neuron(x, w[:, k], b[k])) for k in range(2)]
    np.testing.assert_allclose(neurons.layer(x, params), each, rtol=1e-6)


def test_the_moons_are_told_apart(tmp_path):
    x, y = moons.moons(0)
    assert x.shape == (100, 2)
    assert list(np.unique(y, return_counts=True)[1]) == [50, 50]
    params = neurons.init(0, 2, [16, 16, 1], bias=False)
    assert neurons.count(params) == 337
    params, history = moons.train(params, x, y)
    assert [accuracy for _, accuracy in history[-40:]] == [1.0] * 40
    assert history[-1][0] < 0.02
    moons.plot(params, x, y, tmp_path / "moons.png")
    assert (tmp_path / "moons.png").stat().st_size > 10_000
