"""The whole engine on functions as they are: networks, jax.numpy, jax.nn, optax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled
from jaxninja.engine import backward, trace, value_and_grad
from jaxninja.intermediates.gradients import retain_grads
from jaxninja.models import atomic, deep, ninja
from jaxninja.models.deep import Deep
from jaxninja.models.ninja import Ninja
from jaxninja.rules import RULES, autodiff, manual
from tests.engine.agree import same, vjps
from tests.engine.inputs import ABOVE, TIED, X, Y, real

P = ABOVE / ABOVE.sum(1, keepdims=True)  # rows of probabilities
LABELS = np.array([1, 0, 3])
SQUARE = real(3, 3)

# name -> arguments; looked up below
NUMPY = {
    "average": (X,),
    "clip": (X, np.float64(-0.5), np.float64(0.7)),
    "convolve": (X[0], SQUARE[0]),
    "i0": (X,),
    "kron": (X, SQUARE),
    "linalg.cond": (SQUARE,),
    "linalg.det": (SQUARE,),
    "linalg.inv": (SQUARE,),
    "linalg.norm": (X,),
    "linalg.pinv": (X,),
    "linalg.slogdet": (SQUARE,),
    "linalg.solve": (SQUARE, SQUARE[0]),
    "logaddexp": (X, X + TIED),
    "max": (TIED,),
    "maximum": (X, Y),
    "mean": (X,),
    "power": (ABOVE, Y),
    "prod": (TIED,),
    "sinc": (np.append(X, 0.0),),
    "sort": (X,),
    "std": (X,),
    "tril": (X,),
    "var": (X,),
    "where": (X > 0, X, Y),
}
ACTIVATIONS = """elu gelu hard_tanh leaky_relu log_sigmoid relu
relu6 selu sigmoid silu soft_sign softplus squareplus""".split()  # noqa: SIM905
NN = dict.fromkeys(ACTIVATIONS, (np.append(3 * X, [0.0, 6.0]),))
NN |= dict.fromkeys(
    ["glu", "log_softmax", "logsumexp", "softmax", "standardize"], (X + 1e3,)
)
LOSSES = {
    "cosine_distance": (X, Y),
    "hinge_loss": (X, np.sign(Y)),
    "huber_loss": (X, Y),
    "kl_divergence": (np.log(P), P),
    "l2_loss": (X, Y),
    "log_cosh": (X, Y),
    "poly_loss_cross_entropy": (X, P),
    "safe_softmax_cross_entropy": (X, P),
    "sigmoid_binary_cross_entropy": (30 * X, P),
    "softmax_cross_entropy": (X, P),
    "softmax_cross_entropy_with_integer_labels": (X, LABELS),
    "sparsemax_loss": (X, np.sign(Y)),
    "squared_error": (X, Y),
}


def named(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def check(table, module):
    """All functions in one XLA program, which compiles faster than one for each."""
    functions = [named(module, name) for name in table]
    arguments = [[jax.device_put(a) for a in args] for args in table.values()]

    @compiled
    def both(arguments):
        pairs = zip(functions, arguments, strict=True)
        return [vjps(f, *args) for f, args in pairs]

    results = dict(zip(table, both(arguments), strict=True))
    wrong = [name for name, (mine, truth) in results.items() if not agrees(mine, truth)]
    assert not wrong


def agrees(mine, truth):
    try:
        same(mine, truth)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("table", "module"),
    [(NUMPY, jnp), (NN, jax.nn), (LOSSES, optax.losses)],
    ids=["jax.numpy", "jax.nn", "optax.losses"],
)
def test_functions_as_they_are(table, module, x64):
    assert len(table) >= 12
    check(table, module)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_forward_and_the_rule_of_every_layer(rule, x64):
    """Down to JAX's primitives, and by the layer's own backward pass."""
    case = rule.cases[0]
    leaves, tree = jax.tree.flatten(drawn(rule.example, 0, case.dims))
    is_float = lambda a: jnp.issubdtype(a.dtype, jnp.floating)  # noqa: E731
    leaves = [np.asarray(a).astype(float) if is_float(a) else a for a in leaves]

    def call(f, *leaves):
        return f(*rule.arranged(tree.unflatten(leaves), case.static))

    def both(*leaves):
        ways = rule.reference, rule.op
        return [vjps(partial(call, f), *leaves) for f in ways]

    for mine, truth in compiled(both)(*leaves):
        same(mine, truth)


# ---- networks


@pytest.fixture
def lecture(x64):
    model = Ninja(hidden=20)
    shapes = jax.eval_shape(lambda: ninja.init(jax.random.key(0), model))
    params = {k: jnp.asarray(real(*s.shape, seed=5)) for k, s in shapes.items()}
    ids, labels = np.arange(24).reshape(8, 3) % 9, np.arange(8) * 3
    return model, params, jnp.asarray(ids), jnp.asarray(labels)


def close(mine, truth, scale):
    """The gradient of b1 is zero in theory: what is left has the scale of dhprebn."""
    for name in truth:
        error = float(abs(mine[name] - truth[name]).max())
        assert error <= 1e-12 * max(scale, float(abs(truth[name]).max())), name


@pytest.mark.parametrize("ops", [manual, autodiff], ids=["manual", "autodiff"])
def test_the_network_of_the_lecture(ops, lecture):
    model, params, ids, labels = lecture
    loss = partial(ninja.loss, model=model, ops=ops)

    @compiled
    def both(*args):
        mine = value_and_grad(loss, has_aux=True)(*args)
        return mine, jax.value_and_grad(loss, has_aux=True)(*args)

    (value, grads), (expected, expected_grads) = both(params, ids, labels)
    same(value, expected)
    close(grads, expected_grads, scale=1.0)


def test_every_tensor_of_the_first_exercise(lecture):
    """The gradients of all 20 steps and 7 parameters, against jax.vjp at each name."""
    _, params, ids, labels = lecture

    def loss(params):
        return atomic.forward(params, ids, labels)["loss"]

    @compiled
    def both(params):
        return backward(trace(loss, params)), retain_grads(loss)(params)[1]

    mine, truth = both(params)
    assert len(truth) == 27
    for name, dtruth in truth.items():
        scale = max(1e-3, float(abs(dtruth).max()))  # some are zero in theory
        assert float(abs(mine[name] - dtruth).max()) <= 1e-12 * scale, name


def test_the_deep_network_of_part_3(x64):
    model = Deep(vocabulary=5, context=2, embedding=3, hidden=7)
    shapes = jax.eval_shape(lambda: deep.init(jax.random.key(0), model))
    params = {k: jnp.asarray(real(*s.shape, seed=7)) for k, s in shapes.items()}
    ids, labels = jnp.arange(16).reshape(8, 2) % 5, jnp.arange(8) % 5

    @compiled
    def both(params):
        loss = partial(deep.loss, model=model)
        args = (params, ids, labels)
        mine = value_and_grad(loss, has_aux=True)(*args)
        return mine, jax.value_and_grad(loss, has_aux=True)(*args)

    (value, grads), (expected, expected_grads) = both(params)
    same(value, expected)
    close(grads, expected_grads, scale=1e-3)


def wavenet(params, x, labels):
    """Part 5's: neighbours are joined two by two, layer after layer."""
    for W, gain, bias in params["layers"][:3]:
        n, T, D = x.shape
        x = x.reshape(n, T // 2, 2 * D) @ W
        x = jnp.tanh(manual.batchnorm(x, gain, bias))
    return optax.softmax_cross_entropy_with_integer_labels(
        x[:, 0] @ params["out"], labels
    ).mean()


def gated(params, x, labels):
    """A recurrent network with a gate, over the T axis of x."""
    W, U = params["layers"][0][0], params["layers"][1][0]

    @jax.checkpoint
    def step(h, row):
        z = jax.nn.sigmoid(row @ W + h @ U)
        h = (1 - z) * h + z * jnp.tanh(row @ W)
        return h, jax.nn.relu(h).mean()

    h, every = lax.scan(step, jnp.zeros((len(x), U.shape[1])), x.swapaxes(0, 1))
    return manual.cross_entropy(h @ params["out"], labels) + every.var()


@pytest.mark.parametrize(
    ("network", "shape", "widths"),
    [
        (wavenet, (6, 8, 3), [6, 14, 14]),
        (gated, (5, 4, 6), [6, 7]),
    ],
)
def test_deep_networks(network, shape, widths, x64):
    layers = [(real(n, 7), real(7, seed=k), real(7)) for k, n in enumerate(widths)]
    params = jax.tree.map(jnp.asarray, {"layers": layers, "out": real(7, 5)})
    inputs = jnp.asarray(real(*shape)), jnp.arange(shape[0]) % 5
    mine, truth = value_and_grad(network), jax.value_and_grad(network)

    @compiled
    def both(params):
        return mine(params, *inputs), truth(params, *inputs)

    (value, grads), (expected, expected_grads) = both(params)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    for a, b in zip(
        jax.tree.leaves(grads), jax.tree.leaves(expected_grads), strict=True
    ):
        assert float(abs(a - b).max()) <= 1e-12 * max(1.0, float(abs(b).max()))
