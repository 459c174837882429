"""Three routes, one gradient; and the two that claim to be by hand are."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import agreement, network, ninja, routes
from jaxninja.models.by_hand import ninja as by_hand
from jaxninja.models.by_hand import ninja_blocks, ninja_fast
from jaxninja.models.ninja import Ninja
from jaxninja.rules import autodiff, manual
from tests.models.compared import apart, by_routes, traced_by_autodiff

disagreement = jax.jit(agreement.disagreement, static_argnums=(0, 4))

SIZES = {
    "lecture": (Ninja(hidden=64), 32),
    "odd": (Ninja(vocabulary=11, context=2, embedding=3, hidden=7, ddof=0), 5),
    "least": (Ninja(vocabulary=5, context=2, embedding=1, hidden=2), 6),
}
MODELS = pytest.mark.parametrize(("model", "n"), SIZES.values(), ids=SIZES)


def batch(model, n, seed=0):
    """Repeated rows and repeated labels come by themselves at these sizes."""
    keys = jax.random.split(jax.random.key(seed), 3)
    params = ninja.init(keys[0], model)
    dtype = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
    params = jax.tree.map(lambda p: p.astype(dtype), params)
    ids = jax.random.randint(keys[1], (n, model.context), 0, model.vocabulary)
    return params, ids, jax.random.randint(keys[2], (n,), 0, model.vocabulary)


def test_the_lectures_network_has_12297_parameters():
    params = ninja.init(jax.random.key(0), Ninja())
    assert sum(p.size for p in params.values()) == 12_297
    assert {p.dtype for p in params.values()} == {jnp.dtype("float32")}
    assert not any(jnp.isin(p, jnp.array([0.0, 1.0])).any() for p in params.values())


def test_the_initialisation_is_the_lectures():
    params = ninja.init(jax.random.key(0), Ninja(vocabulary=400, hidden=4000))
    deviation = {"C": 1, "W1": (5 / 3) / 30**0.5, "b1": 0.1, "W2": 0.1, "b2": 0.1}
    deviation |= {"bngain": 0.1, "bnbias": 0.1}
    for name, p in params.items():
        assert float(p.std()) == pytest.approx(deviation[name], rel=0.1)
        assert float(p.mean()) == pytest.approx(float(name == "bngain"), abs=0.05)


@pytest.fixture
def in_blocks(monkeypatch):
    """Sets how many rows a block has; every batch is then a large one."""
    monkeypatch.setattr(ninja_blocks, "LARGE", 1)
    return lambda rows: monkeypatch.setattr(ninja_blocks, "ROWS", rows)


ROUTES = ("autodiff", "network", "page", "rules")


@MODELS
def test_the_routes_agree_in_float64(model, n, x64):
    """The gradient of b1 is 0 in theory, and what there is of it rounding."""
    for seed in range(3):
        params, ids, labels = batch(model, n, seed)
        found = jax.device_get(by_routes(model, params, ids, labels, ROUTES))
        truth = found["autodiff"][1]
        for route, (aux, grads) in found.items():
            right_loss_and_statistics(aux, params, ids, labels, model)
            for name, grad in grads.items():
                assert apart(grad, truth[name], 1e-3) <= 1e-12, (route, name)


def right_loss_and_statistics(aux, params, ids, labels, model):
    """By NumPy and by the named intermediates."""
    loss, stats = aux
    hprebn = params["C"][ids].reshape(len(ids), -1) @ params["W1"] + params["b1"]
    mean, var = np.mean(hprebn, 0), np.var(hprebn, 0, ddof=model.ddof)
    np.testing.assert_allclose(stats["mean"], mean, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(stats["var"], var, rtol=1e-10)
    named = network.intermediates(params, ids, labels, model)
    np.testing.assert_allclose(loss, named["loss"], rtol=1e-13)


@pytest.mark.parametrize("rows", [1, 4, 100])
@MODELS
def test_blocks_of_rows_change_nothing(rows, model, n, x64, in_blocks):
    """Blocks that divide the batch, that leave a rest, and one block."""
    params, ids, labels = batch(model, n)
    truth = by_routes(model, params, ids, labels, ("autodiff",))["autodiff"][1]
    in_blocks(rows)
    fresh = jax.jit(lambda *args: routes.value_and_grad("network", model)(*args))
    aux, grads = fresh(params, ids, labels)
    right_loss_and_statistics(aux, params, ids, labels, model)
    for name, grad in grads.items():
        assert apart(grad, truth[name], 1e-3) <= 1e-12, name


def test_only_a_large_batch_goes_in_blocks():
    """Seen by S, which no other layout has: [T E, T E]."""
    model = Ninja(hidden=8)
    value_and_grad = routes.value_and_grad("network", model)
    for n in (ninja_blocks.LARGE - 1, ninja_blocks.LARGE):
        args = jax.eval_shape(lambda n=n: batch(model, n))
        found = str(jax.make_jaxpr(value_and_grad)(*args)).count("f32[30,30] = dot")
        assert bool(found) == (n >= ninja_blocks.LARGE)


@pytest.mark.parametrize("route", ["network", "page", "rules"])
def test_float32_disagreement_is_rounding(route):
    model, n = SIZES["lecture"]
    params, ids, labels = batch(model, n)
    found = disagreement(route, params, ids, labels, model)
    # b1's gradient is 0 in theory, so all of it is rounding: far below what stops a run
    bound = {"b1": agreement.tolerance(jnp.float32) / 4}
    assert all(float(d) <= bound.get(k, 2e-6) for k, d in found.items()), found


PAGE = {
    "C": (".at[ids].add(demb)", ".at[ids].set(demb)"),
    "W1": ("dW1 = embcat.T @ dhprebn", "dW1 = embcat.T @ dhpreact"),
    "b1": ("db1 = dhprebn.sum(0)", "db1 = dhpreact.sum(0)"),
    "W2": ("dW2 = h.T @ dlogits", "dW2 = bnraw.T @ dlogits"),
    "b2": ("db2 = dlogits.sum(0)", "db2 = dlogits.mean(0)"),
    "bngain": ("(bnraw * dhpreact).sum(0)", "(bndiff * dhpreact).sum(0)"),
    "bnbias": ("dbnbias = dhpreact.sum(0)", "dbnbias = dh.sum(0)"),
    "dlogits": ("- onehot) / n", "- onehot)"),
    "bessel": ("dbngain / (n - model.ddof)", "dbngain / n"),
    "mean path": ("dhpreact - dbnbias / n", "dhpreact"),
    "tanh": ("(1 - h) * (1 + h) * dh", "(1 - h) * dh"),
}
FAST = {
    "C": (".at[ids].add(demb)", ".at[ids].set(demb)"),
    "order of demb": (".transpose(2, 0, 1)", ".transpose(2, 0, 1)[:, ::-1]"),
    "W1": ("(embdiff.T), dbndiff)", "(embdiff.T), dhpreact)"),
    "b1": ("jnp.zeros_like(b1)", "dhpreact.sum(0)"),
    "W2": ("dW2T = times(dlogits, h)", "dW2T = times(dlogits, h * h)"),
    "b2": ("db2 = dlogits.sum(1)", "db2 = dlogits.mean(1)"),
    "bngain": ("dbngain = bnvar_inv * dbnscale", "dbngain = dbnscale"),
    "bnbias": ("_column_sums(dhpreact,", "_column_sums(dh,"),
    "dlogits": ("- onehot) / n", "- onehot)"),
    "bessel": ("dbngain / (n - model.ddof)", "dbngain / n"),
    "mean path": ("dhpreact - dbnbias / n", "dhpreact"),
    "variance path": (" - through_var)", ")"),
    "tanh": ("(1 - h) * (1 + h) * dh", "(1 - h) * dh"),
}
BLOCKS = {
    "C": (".at[ids].add(dembcat", ".at[ids].set(dembcat"),
    "W1": ("dW1 = scale * (A - k * SW1)", "dW1 = scale * A"),
    "b1": ("jnp.zeros_like(b1)", "dbnbias"),
    "W2": ("times(dlogits, h), dlogits", "times(dlogits, h * h), dlogits"),
    "b2": ("dlogits.sum(1))", "dlogits.mean(1))"),
    "bngain": ("bnvar_inv * (W1 * A).sum(0)", "(W1 * A).sum(0)"),
    "bnbias": ("dhpreact.sum(0)", "dh.sum(0)"),
    "bessel": ("dbngain / (n - model.ddof)", "dbngain / n"),
    "mean path": ("(dbnbias / n) @ W1s.T + ", ""),
    "variance path": (" + embdiff @ ((k * W1) @ W1s.T)", ""),
    "rows of a block": ("out.swapaxes(0, 1)", "out"),
    "rest": ("sums, rest = step", "_, rest = step"),
    "tanh": ("(1 - h) * (1 + h) * dh", "(1 - h) * dh"),
}
RIGHT = {"nothing": ("", "")}
MUTANTS = [
    pytest.param(route, module, *edit, id=f"{module.__name__.split('.')[-1]}-{name}")
    for route, module, edits in [
        ("page", by_hand, PAGE),
        ("network", ninja_fast, FAST),
        ("network", ninja_blocks, BLOCKS),
    ]
    for name, edit in (RIGHT | edits).items()
]


@pytest.fixture(scope="module")
def truth():
    """The lecture's network in float64, a batch, and autodiff's gradients."""
    model, n = SIZES["lecture"]
    with jax.enable_x64(True):
        arguments = batch(model, n)
        grads = jax.jit(routes.value_and_grad("autodiff", model))(*arguments)[1]
    return model, arguments, jax.device_get(grads)


@pytest.mark.parametrize(("route", "module", "right", "wrong"), MUTANTS)
def test_one_wrong_line_is_noticed(
    route, module, right, wrong, truth, x64, monkeypatch
):
    """A backward pass with one line wrong, as text."""
    source = inspect.getsource(module)
    assert right in source
    scope: dict = {"__name__": "mutant"}
    exec(source.replace(right, wrong), scope)
    scope["ROWS"] = 5  # with a rest
    if module is ninja_blocks:
        monkeypatch.setattr(ninja_blocks, "LARGE", 1)
    monkeypatch.setattr(module, "value_and_grad", scope["value_and_grad"])
    model, arguments, grads = truth
    # not compiled as a whole: all mutants share the compiled operations
    mine = routes.value_and_grad(route, model)(*arguments)[1]
    worst = max(apart(mine[name], true, 1e-3) for name, true in grads.items())
    assert worst > 1e-3 if right else worst < 1e-11


def test_laying_out_is_undone_bit_for_bit():
    """Wherever parameters occur: in Adam's moments too."""
    model, _ = SIZES["odd"]
    params = ninja.init(jax.random.key(0), model)
    tree = (params, {"count": jnp.int32(3), "moments": (params, params)}, [])
    there = ninja_fast.lay_out(tree)
    assert there[0]["W2T"].shape == (model.vocabulary, model.hidden)
    assert "W2" not in there[1]["moments"][1]
    back = ninja_fast.lay_back(there)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


def test_the_network_route_is_by_hand():
    model, n = SIZES["lecture"]
    arguments = batch(model, n)
    assert traced_by_autodiff("network", model, *arguments) == []
    assert traced_by_autodiff("page", model, *arguments) == []
    # the test can see autodiff
    assert traced_by_autodiff("autodiff", model, *arguments)
    assert traced_by_autodiff("rules", model, *arguments)  # jax.grad calls the rules


MOVES_DATA = {"reshape", "transpose", "squeeze", "broadcast_in_dim", "slice", "copy"}


def computes_outside_rules(f, *arguments):
    """Primitives on the way to the loss that compute and are in no custom_vjp call."""
    jaxpr = jax.make_jaxpr(f)(*arguments).jaxpr
    needed, found = {jaxpr.outvars[0]}, set()
    for eqn in reversed(
        jaxpr.eqns
    ):  # the statistics beside the loss are not on its way
        if needed.isdisjoint(eqn.outvars):
            continue
        needed |= {v for v in eqn.invars if not hasattr(v, "val")}
        if eqn.primitive.name not in MOVES_DATA | {"custom_vjp_call"}:
            found.add(eqn.primitive.name)
    return found


def test_the_rules_route_is_by_hand():
    model, n = SIZES["lecture"]
    arguments = batch(model, n)

    def forward(ops):
        return computes_outside_rules(lambda *a: ninja.loss(*a, model, ops), *arguments)

    assert forward(manual) == set()
    assert "dot_general" in forward(autodiff)  # the test can see plain code


def test_an_unknown_route_is_refused():
    with pytest.raises(ValueError, match="route is 'magic', expected network, rules"):
        routes.value_and_grad("magic", Ninja())


def test_the_gradient_of_b1_is_zero_in_theory(x64):
    """A bias before batchnorm does nothing; its gradient is rounding only."""
    model, n = SIZES["lecture"]
    (_, _), grads = by_hand.value_and_grad(*batch(model, n), model)
    assert float(abs(grads["b1"]).max()) < 1e-15
    assert float(abs(grads["bnbias"]).max()) > 1e-3


@pytest.mark.parametrize("route", ["network", "rules"])
def test_bfloat16_rounds_no_worse_than_autodiff(route):
    """Products in bfloat16; the truth is float64 throughout."""
    model, n = SIZES["lecture"]
    half = dataclasses.replace(model, dtype="bfloat16")
    params, ids, labels = batch(model, n)

    def run(route, params, model):
        f = jax.jit(routes.value_and_grad(route, model))
        (loss, _), grads = f(params, ids, labels)
        assert all(grads[k].dtype == params[k].dtype for k in params)
        del grads["b1"]  # zero in theory
        return {
            k: np.asarray(g, np.float64) for k, g in (grads | {"loss": loss}).items()
        }

    with jax.enable_x64(True):
        exact = {k: p.astype(jnp.float64) for k, p in params.items()}
        truth = run("autodiff", exact, model)
    mine, theirs = run(route, params, half), run("autodiff", params, half)
    single = run("network", params, model)
    for name, t in truth.items():
        ulp = 2.0**-8 * abs(t).max()
        assert abs(mine[name] - t).max() <= 2 * abs(theirs[name] - t).max() + 4 * ulp
        assert abs(mine[name] - t).max() > 10 * abs(single[name] - t).max()  # it rounds
