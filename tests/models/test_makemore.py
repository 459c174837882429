"""makemore's models: three routes, one gradient, on batches that are awkward."""

import dataclasses
import importlib
import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import agreement, network, routes, transformer
from jaxninja.models.bigram import Bigram
from jaxninja.models.bow import Bow
from jaxninja.models.gru import Gru
from jaxninja.models.lstm import Lstm
from jaxninja.models.mlp import Mlp
from jaxninja.models.rnn import Rnn
from jaxninja.models.transformer import Transformer
from jaxninja.models.wavenet import Wavenet
from tests.models.compared import apart, by_routes, traced_by_autodiff

PARAMETERS = {
    "bigram": 729,
    "mlp": 69_147,
    "bow": 12_827,
    "rnn": 11_803,
    "gru": 28_315,
    "lstm": 36_635,
    "transformer": 204_544,
    "wavenet": 76_579,
}
# small, with sizes that are prime or no multiples of each other
SMALL = {
    "bigram": Bigram(5, 7),
    "mlp": Mlp(5, 3, 7, 2),
    "bow": Bow(5, 7, 3, 2),
    "rnn": Rnn(5, 7, 3, 2),
    "gru": Gru(5, 7, 3, 2),
    "lstm": Lstm(5, 7, 3, 2),
    "transformer": Transformer(5, 7, 2, 3, 6),
    "wavenet": Wavenet(5, 4, 3, 5),
}
# lengths of items, None for a row all of padding, and the places of a row; items that
# are shorter than the model's context, as long, and empty
BATCHES = {
    "items": ([2, None, 0, 6, 1], 7),
    "padding": ([None, None, None, None, None], 7),
    "long": ([6, 5, 6, 6, 4], 7),
    "short": ([3, 1, 1, 0, 2], 7),
    "one of one": ([1], 2),
}
BY_HAND = ("network", "page")
ALL = ("autodiff", "rules", *BY_HAND)


def batch(model, name, seed=0):
    """Items of random symbols as makemore.py lays them out; windows for a wavenet."""
    lengths, T = BATCHES[name]
    draw = np.random.default_rng(seed)
    if not network.reads_sequences(model):
        n = max(len(lengths), 3)  # one has no variance, and two cancel nearly all
        ids = draw.integers(0, model.vocabulary, (n, model.context))
        return jnp.array(ids), jnp.array(draw.integers(0, model.vocabulary, n))
    ids = np.zeros((len(lengths), T), np.int32)
    labels = np.full((len(lengths), T), -1, np.int32)
    for row, length in enumerate(lengths):
        if length is not None:
            item = draw.integers(1, model.vocabulary, length)
            ids[row, 1 : length + 1] = item[: T - 1]
            labels[row, : length + 1] = [*item, 0]
    return jnp.array(ids), jnp.array(labels)


def parameters(model, seed=0):
    """Without zeros and ones, which hide wrong gradients; in JAX's float type."""
    shapes = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    draw = np.random.default_rng(seed)
    one = {name for name in shapes if name.startswith("gamma")}
    return {
        name: jnp.array((name in one) + 0.5 * draw.normal(size=p.shape))
        for name, p in shapes.items()
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_as_many_as_makemores(name):
    model = network.MODELS[name]()
    params = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    assert sum(p.size for p in params.values()) == PARAMETERS[name]
    assert {p.dtype for p in params.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", SMALL)
def test_the_routes_agree_in_float64(name, x64):
    model = SMALL[name]
    params = parameters(model)
    for items in BATCHES:
        found = jax.device_get(by_routes(model, params, *batch(model, items), ALL))
        (loss, statistics), truth = found.pop("autodiff")
        for route, ((value, stats), grads) in found.items():
            np.testing.assert_allclose(value, loss, rtol=1e-13)
            np.testing.assert_equal(stats.keys(), statistics.keys())
            for key, moment in stats.items():
                np.testing.assert_allclose(moment, statistics[key], 1e-10, 1e-13)
            assert grads.keys() == params.keys()
            for key, grad in grads.items():
                assert grad.shape == params[key].shape
                assert apart(grad, truth[key]) <= 1e-12, (route, items, key)
        if items == "padding" and network.reads_sequences(model):
            assert float(loss) == 0
            assert not any(grad.any() for grad in truth.values())


@pytest.mark.parametrize("name", SMALL)
def test_the_hand_routes_hold_nothing_made_by_autodiff(name):
    model = SMALL[name]
    args = parameters(model), *batch(model, "items")
    for route in BY_HAND:
        assert traced_by_autodiff(route, model, *args) == []
    assert traced_by_autodiff("rules", model, *args)  # the test can see autodiff


# A module, one of its lines, and the line spoiled; each is of another kind of path.
MUTANTS = [
    ("bigram", "counts / counts_sum - onehot, 0) / n", "counts / counts_sum, 0) / n"),
    ("bigram", "dlogits = jnp.where(counted, ", "dlogits = jnp.where(True, "),
    ("mlp", "dC = sum_rows(window, demb", "dC = sum_rows(window[:, ::-1], demb"),
    ("mlp", "(1 - h) * (1 + h) * dh", "(1 - h) * dh"),
    ("mlp_tables", "before, V, windows", "False, V, windows"),
    ("mlp_tables", "sum(dy_WT(dQ[k], W1[k]) for k in range(K))", "dy_WT(dQ[0], W1[0])"),
    ("bow", "dx0 = dx1 + share.T @ dx1", "dx0 = dx1 + share @ dx1"),
    ("bow", "dx1 = dx2 + dy_WT", "dx1 = dy_WT"),
    ("rnn", "(1 + h) * (dh + dh_here)", "(1 + h) * dh_here"),
    ("rnn", "dWh = xT_dy(h_before, dp)", "dWh = xT_dy(h, dp)"),
    ("rnn", "dstart = dfirst.sum", "dstart = dfirst.mean"),
    ("gru", "(1 - z) * dh + r * dreset + ", "(1 - z) * dh + "),
    ("gru", "dWc = xT_dy(r * h_before,", "dWc = xT_dy(h_before,"),
    ("gru", "z * (1 - z) * (c - h_before)", "z * (1 - z) * c"),
    ("lstm", "f * dc), dp", "dc), dp"),
    ("lstm", "dc = dc + o * ", "dc = o * "),
    ("transformer", "scale * (dz.mT @ q)", "scale * (dz @ q)"),
    ("transformer", "dp - (p * dp).sum(-1, keepdims=True)", "dp"),
    ("transformer", "K * (1 + 3 * CUBE * f**2)", "K"),
    ("transformer", "mean - xhat * slope", "mean"),
    ("transformer_packed", "(t >= begins)", "(t >= 0 * begins)"),
    ("transformer_packed", '"P": sum_rows(places, dx', '"P": sum_rows(ids, dx'),
    ("transformer_packed", "beta[:, None] * db, db", "db, db"),
    ("wavenet", "dnorm - dbeta / len(h)", "dnorm"),
    ("wavenet", "dh = dy_WT(dpre, Wl)", "dh = dy_WT(dnorm, Wl)"),
]


@pytest.mark.parametrize(("page", "right", "wrong"), MUTANTS)
def test_one_wrong_line_is_noticed(page, right, wrong, x64):
    """A backward pass with one line wrong, as text."""
    folder = "by_hand.layouts" if "_" in page else "by_hand"
    module = importlib.import_module(f"jaxninja.models.{folder}.{page}")
    source = inspect.getsource(module)
    assert right in source
    scope: dict = {"__name__": "mutant"}
    exec(source.replace(right, wrong), scope)
    model = SMALL[page.split("_")[0]]
    params, args = parameters(model), batch(model, "items")
    # not compiled as a whole: all mutants share the compiled operations
    _, mine = scope["value_and_grad"](params, *args, model)
    truth = jax.device_get(by_routes(model, params, *args, ALL)["autodiff"][1])
    assert max(apart(mine[key], truth[key]) for key in truth) > 1e-3


@pytest.mark.parametrize("name", ["bow", "gru", "lstm", "rnn", "transformer"])
def test_pytorch_agrees(name, x64):
    """An independent truth: the model written once more, and PyTorch's autograd."""
    torch = pytest.importorskip("torch")
    makemore_torch = importlib.import_module("experiments.benchmarks.makemore_torch")
    model = SMALL[name]
    params, (ids, labels) = parameters(model), batch(model, "items")
    theirs = {k: torch.tensor(np.array(p)).requires_grad_() for k, p in params.items()}
    long = [torch.tensor(np.array(a), dtype=torch.long) for a in (ids, labels)]
    truth = makemore_torch.loss(name, theirs, *long, model)
    truth.backward()
    run = jax.jit(routes.value_and_grad("network", model))
    (loss, _), grads = jax.device_get(run(params, ids, labels))
    np.testing.assert_allclose(loss, truth.item(), rtol=1e-12)
    for key, grad in grads.items():
        assert apart(grad, theirs[key].grad.numpy()) <= 1e-10, key


def test_what_checks_a_run_agrees_in_each_precision():
    """`--check-grads` of a model with neither C nor batchnorm, and in bfloat16."""
    half = dataclasses.replace(SMALL["gru"], dtype="bfloat16")
    for model, kind in ((Bigram(5, 7), jnp.float32), (half, jnp.bfloat16)):
        params = jax.tree.map(jnp.float32, parameters(model))
        assert agreement.precision(params, model) == kind
        bound = agreement.tolerance(kind)
        check = jax.jit(partial(agreement.disagreement, "network", model=model))
        found = check(params, *batch(model, "items"))
        assert found.keys() == params.keys()
        assert all(float(d) <= bound for d in found.values()), found


def test_heads_and_contexts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"heads is 5, .* embedding, which is 64"):
        Transformer(heads=5)
    for context in (1, 3, 6):
        with pytest.raises(ValueError, match=rf"context is {context}, .* power of 2"):
            Wavenet(context=context)
    ids = jnp.zeros((2, 8), int)
    for name in ("transformer", "bow"):
        for route in (*BY_HAND, "rules"):
            long = routes.value_and_grad(route, SMALL[name])
            with pytest.raises(ValueError, match=rf"{name}: .*\(2, 8\).* 7 symbols"):
                long(parameters(SMALL[name]), ids, ids)


def test_attention_maps_are_shares_of_the_past():
    model = SMALL["transformer"]
    ids, _ = batch(model, "items")
    maps = transformer.attention_maps(parameters(model), ids, model)
    assert maps.shape == (model.layers, 5, model.heads, 7, 7)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert not np.triu(maps, 1).any()


@pytest.mark.parametrize("name", [name for name in SMALL if name != "wavenet"])
def test_inference_is_the_loss_without_labels(name):
    """And a prefix has the same logits: no place sees a later one."""
    model = SMALL[name]
    params, (ids, labels) = parameters(model), batch(model, "items")
    logits = network.of(model).apply(params, {}, ids, model)
    named = network.intermediates(params, ids, labels, model)
    np.testing.assert_allclose(logits, named["logits"], rtol=1e-5, atol=1e-6)
    assert network.of(model).activations(model).keys() <= named.keys()
    shorter = network.of(model).apply(params, {}, ids[:, :3], model)
    np.testing.assert_allclose(shorter, logits[:, :3], rtol=1e-5, atol=1e-6)
