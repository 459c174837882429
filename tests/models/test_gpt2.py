"""GPT-2: three routes, one gradient, whatever is kept; and the sizes that it has."""

import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxninja.models import gpt2, network, routes
from jaxninja.models.by_hand import gpt2 as by_hand
from jaxninja.models.by_hand.parts import causal_attention, products
from jaxninja.models.by_hand.parts.products import over_rows, product
from jaxninja.models.gpt2 import Gpt2, SizeError
from tests.models.compared import apart

SMALL = Gpt2(11, 9, layers=2, heads=2, embedding=6, multiple=4)
B, T = 3, 7


def batch(model, seed=0):
    """Parameters without zeros and ones, which hide wrong gradients; some labels -1."""
    draw = np.random.default_rng(seed)
    params = {
        name: jnp.array(mean + 0.3 * draw.normal(size=shape))
        for name, (shape, _, mean) in gpt2.table(model).items()
    }
    ids = draw.integers(0, model.vocabulary, (B, T)).astype(np.int32)
    labels = np.roll(ids, -1, 1)
    labels[0, 2:4] = -1
    return params, jnp.array(ids), jnp.array(labels)


def small_blocks(monkeypatch):
    """Blocks that leave a rest, of attention and of the output layer."""
    monkeypatch.setattr(causal_attention, "positions", lambda T: 3)
    monkeypatch.setattr(by_hand, "TOKENS", 6)


def furthest(grads, truth):
    return max(apart(grads[name], g) for name, g in truth.items())


def every_route(params, ids, labels):
    found = {
        f"network, {kept}": routes.value_and_grad(
            "network", replace(SMALL, residuals=kept)
        )
        for kept in gpt2.RESIDUALS
    }
    found |= {
        name: routes.value_and_grad(name, SMALL) for name in ("rules", "autodiff")
    }
    # kept apart: XLA would compute the same forward once for all
    args = jax.lax.optimization_barrier
    return {name: f(*args((params, ids, labels))) for name, f in found.items()}


def test_the_routes_agree_in_float64_whatever_is_kept(x64, monkeypatch):
    small_blocks(monkeypatch)
    found = jax.jit(every_route)(*batch(SMALL))
    (loss, _), truth = found.pop("autodiff")
    assert set(found) == {"rules", *(f"network, {keep}" for keep in gpt2.RESIDUALS)}
    for name, ((value, statistics), grads) in found.items():
        assert statistics == {}
        assert float(abs(value - loss)) < 1e-13, name
        assert grads.keys() == truth.keys()
        assert furthest(grads, truth) < 1e-12, name
        assert not grads["wte"][SMALL.vocabulary :].any(), name


MUTANTS = (
    ("dwte.at[ids].add(dx)", "dwte.at[ids].set(dx)"),
    ("dx2 = dy + through", "dx2 = through"),
    ("first = dgain1, dbias1", "first = dgain1, dgain1"),
)


def test_a_wrong_line_is_seen(x64):
    """The right page, with other blocks than above, and mutants of it."""
    written = Path(by_hand.__file__).read_text()
    pages = [by_hand, *(types.ModuleType(f"mutant{n}") for n in range(len(MUTANTS)))]
    for mutant, (right, wrong) in zip(pages[1:], MUTANTS, strict=True):
        assert written.count(right) == 1
        exec(written.replace(right, wrong), mutant.__dict__)
    args = batch(replace(SMALL, layers=1))
    model = replace(SMALL, layers=1)
    grads = jax.jit(lambda *a: [page.value_and_grad(*a, model)[1] for page in pages])
    truth, *found = grads(*args)
    for mutant in found:
        assert furthest(mutant, truth) > 1e-3


def test_the_loss_is_that_of_the_logits_and_padding_changes_nothing():
    """Rows of wte beyond the vocabulary are no tokens."""
    params, ids, labels = batch(SMALL)
    bare = replace(SMALL, multiple=1)
    cut = params | {"wte": params["wte"][: SMALL.vocabulary]}
    logits = jax.jit(lambda p: gpt2.apply(p, {}, ids, bare))(cut)
    assert logits.shape == (B, T, SMALL.vocabulary)
    rows = scipy.special.log_softmax(logits, -1).reshape(B * T, -1)
    flat = np.asarray(labels).reshape(-1)
    mean = -np.mean([row[at] for row, at in zip(rows, flat, strict=True) if at >= 0])
    for p, model in ((cut, bare), (params, SMALL)):
        loss = jax.jit(partial(gpt2.loss, model=model))(p, ids, labels)[0]
        assert float(loss) == pytest.approx(mean, 1e-5)


def test_with_names_it_is_the_same_and_each_layer_can_be_seen():
    params, ids, labels = batch(SMALL)
    named = network.intermediates(params, ids, labels, SMALL)
    plain = jax.jit(partial(gpt2.loss, model=SMALL))(params, ids, labels)[0]
    assert float(named["loss"]) == pytest.approx(float(plain), 1e-5)
    assert gpt2.activations(SMALL).keys() <= named.keys()
    assert named["h2"].shape == (B, T, 4 * SMALL.embedding)


def test_attention_maps_are_shares_of_the_past():
    params, ids, _ = batch(SMALL)
    maps = gpt2.attention_maps(params, ids, SMALL)
    assert maps.shape == (SMALL.layers, B, SMALL.heads, T, T)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert not np.triu(maps, 1).any()


def test_no_label_at_all_has_no_loss_and_no_gradient():
    params, ids, labels = batch(SMALL)
    f = jax.jit(partial(by_hand.value_and_grad, model=SMALL))
    (loss, _), grads = f(params, ids, 0 * labels - 1)
    assert float(loss) == 0
    assert not any(g.any() for g in grads.values())


def test_bfloat16_is_of_the_products_alone():
    model = replace(SMALL, dtype="bfloat16")
    params, ids, labels = batch(model)
    hand, rules = (
        routes.value_and_grad(route, model) for route in ("network", "rules")
    )
    both = jax.jit(lambda *args: (hand(*args), rules(*args)))
    ((loss, _), grads), ((other, _), truth) = both(params, ids, labels)
    assert {g.dtype for g in grads.values()} == {jnp.dtype("float32")}
    assert float(loss) == pytest.approx(float(other), rel=0.02)
    assert furthest(grads, truth) < 0.1


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("size", [3, T])
def test_attention_one_head_after_the_other_or_all_at_once(
    parallel, size, monkeypatch, x64
):
    monkeypatch.setattr(causal_attention, "positions", lambda T: size)
    monkeypatch.setattr(causal_attention, "in_parallel", lambda: parallel)
    D, heads = 2, 4
    qkv, do = (
        jnp.array(np.random.default_rng(k).normal(size=(B * T, n * heads * D)))
        for k, n in enumerate((3, 1))
    )

    def plain(qkv):
        q, k, v = qkv.reshape(B, T, 3, heads, D).transpose(2, 0, 3, 1, 4)
        z = jnp.where(np.tri(T, dtype=bool), q @ k.mT / D**0.5, -jnp.inf)
        return (jax.nn.softmax(z) @ v).swapaxes(1, 2).reshape(B * T, heads * D)

    blocks, o, lse = causal_attention.attention(qkv, B, heads, "float32")
    dqkv = causal_attention.attention_backward(blocks, o, lse, do, B, "float32")
    truth, pull = jax.vjp(plain, qkv)
    np.testing.assert_allclose(o, truth, atol=1e-12)
    np.testing.assert_allclose(dqkv, pull(do)[0], atol=1e-12)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_product_in_bfloat16_rounds_its_factors_and_not_its_sums(
    parallel, monkeypatch
):
    """As on a CPU and as on a GPU."""
    monkeypatch.setattr(products, "in_parallel", lambda: parallel)
    a, b = 1 + jnp.arange(1, 7.0).reshape(2, 3) / 1024, jnp.ones((3, 2)) * 256
    assert product(a, b, "bfloat16").tolist() == [[768.0, 768.0], [772.0, 772.0]]
    assert product(a, b, "float32")[0, 0] == 769.5


@pytest.mark.parametrize("shape", [(8, 5, 3), (2, 5, 3), (8, 3, 5)])
def test_a_sum_over_rows_is_the_same_in_either_order(shape):
    N, D, K = shape
    a, b = np.arange(N * D).reshape(N, D) % 7.0, np.arange(N * K).reshape(N, K) % 5.0
    found = over_rows(jnp.array(a), jnp.array(b), "float32")
    np.testing.assert_array_equal(found, a.T @ b)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_the_sizes_are_the_papers(name, count):
    params = jax.eval_shape(lambda: gpt2.init(jax.random.key(0), gpt2.named(name)))
    assert sum(p.size for p in params.values()) == count
    assert {*gpt2.LAYER, *gpt2.MATRICES} <= params.keys()


def test_initial_values_are_nanogpts():
    model = gpt2.named("gpt2-tiny", layers=8)
    params = jax.jit(gpt2.init, static_argnums=1)(jax.random.key(0), model)
    deviation = dict.fromkeys(gpt2.MATRICES, 0.02) | dict.fromkeys(
        ("Wo", "Wproj"), 5e-3
    )
    for name, p in params.items():
        if name in deviation:
            assert float(p.std()) == pytest.approx(deviation[name], rel=0.1), name
        else:
            assert (p == float(name.startswith("gain"))).all(), name


def test_it_is_a_page_that_reads_sequences():
    assert network.of(SMALL) is gpt2
    assert network.reads_sequences(SMALL)


def test_bad_sizes_are_refused():
    with pytest.raises(SizeError, match=r"embedding is 10, .* 4"):
        Gpt2(embedding=10, heads=4)
    with pytest.raises(SizeError, match="layers is 0"):
        Gpt2(layers=0)
    with pytest.raises(SizeError, match="residuals is '2C', expected one of 10C,"):
        Gpt2(residuals="2C")
    with pytest.raises(SizeError, match="dtype is 'float16'"):
        Gpt2(dtype="float16")
    with pytest.raises(SizeError, match=r"'gpt2-midium', .*did you mean 'gpt2-medium'"):
        gpt2.named("gpt2-midium")
    with pytest.raises(SizeError, match=r"'layer' is no size of gpt2.*'layers'"):
        gpt2.named("gpt2", layer=3)
    params = jax.eval_shape(lambda: gpt2.init(jax.random.key(0), SMALL))
    long = jax.ShapeDtypeStruct((1, 10), jnp.int32)
    with pytest.raises(ValueError, match="at most 9 symbols"):
        jax.eval_shape(partial(gpt2.loss, model=SMALL), params, long, long)
    with pytest.raises(ValueError, match="at most 9 symbols"):
        jax.eval_shape(partial(by_hand.value_and_grad, model=SMALL), params, long, long)
