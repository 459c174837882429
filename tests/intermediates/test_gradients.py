"""Gradients of named arrays against `jax.grad` of a function cut in two at the name."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core.primitives import closed_call_p

from jaxninja.intermediates.gradients import named_values, retain_grads
from jaxninja.rules import manual

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(5, 3))
W = np.random.default_rng(1).normal(size=(3, 4))


def before(x, w):
    return jnp.tanh(x @ w)


def after(h):
    return jnp.sum(jnp.sin(h) * jnp.cumsum(h, 0)) + jnp.prod(1 + h[0])


def network(x, w):
    return after(checkpoint_name(before(x, w), "h"))


def same(got, expected, tolerance=1e-13):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    scale = float(abs(expected).max()) or 1.0
    assert float(abs(got - expected).max()) <= tolerance * scale


def data(dtype=jnp.float64):
    return jnp.asarray(X, dtype), jnp.asarray(W, dtype)


# ---- the gradient itself


@pytest.mark.parametrize("how", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_the_gradient_is_that_of_the_second_half(how, x64):
    x, w = data()
    value, grads = how(retain_grads(network))(x, w)
    h = before(x, w)
    assert list(grads) == ["h"]
    same(value, after(h))
    same(grads["h"], jax.grad(after)(h))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_has_the_dtype_of_the_array_and_the_bits_of_jax_grad(dtype):
    x, w = data(dtype)
    value, grads = retain_grads(network)(x, w)
    h = before(x, w)
    assert value.dtype == grads["h"].dtype == dtype
    np.testing.assert_array_equal(grads["h"], jax.grad(after)(h))


def test_numpy_arguments_keywords_and_static_ones():
    def f(table, ids, *, power, mode):
        assert isinstance(power, int)
        assert mode == "sum"
        row = checkpoint_name(table[jnp.sort(ids)], "row")
        return (row**power).sum()

    table, ids = np.asarray([1.0, 3.0, 2.0], np.float32), np.asarray([2, 0])
    _, grads = retain_grads(f)(table, ids, power=2, mode="sum")
    np.testing.assert_array_equal(grads["row"], [2.0, 4.0])


def test_the_value_is_untouched_by_the_shift():
    """x + 0 would turn -0 into 0, and 1 / x with it."""
    value, grads = retain_grads(lambda x: 1 / checkpoint_name(x, "x"))(
        jnp.float32(-0.0)
    )
    assert value == -jnp.inf
    assert grads["x"] == -jnp.inf


def test_vmap_of_retained_and_grad_of_retained(x64):
    x, w = data()
    xs = jnp.stack([x, 2 * x])
    _, grads = jax.vmap(retain_grads(network), in_axes=(0, None))(xs, w)
    expected = jnp.stack([jax.grad(after)(before(x, w)) for x in xs])
    same(grads["h"], expected)

    def squared(w):
        return (retain_grads(network)(x, w)[1]["h"] ** 2).sum()

    def by_cutting(w):
        return (jax.grad(after)(before(x, w)) ** 2).sum()

    same(jax.grad(squared)(w), jax.grad(by_cutting)(w))


def test_of_two_names_one_downstream_of_the_other_each_is_free(x64):
    def f(x):
        a = checkpoint_name(x**2, "z")  # the order is f's, not the alphabet's
        b = checkpoint_name(jnp.sin(a), "b")
        return (a * b).sum()

    a = data()[0] ** 2
    _, grads = retain_grads(f)(data()[0])
    assert list(grads) == ["z", "b"]
    same(grads["z"], jax.grad(lambda a: (a * jnp.sin(a)).sum())(a))
    same(grads["b"], a)


def test_without_influence_the_gradient_is_zero():
    def f(x):
        checkpoint_name(2 * x, "dropped")
        return checkpoint_name(x * 3, "y").sum() + jax.lax.stop_gradient(
            checkpoint_name(x * 5, "stopped").sum()
        )

    _, grads = retain_grads(f)(jnp.ones(3))
    np.testing.assert_array_equal(grads["dropped"], jnp.zeros(3))
    np.testing.assert_array_equal(grads["stopped"], jnp.zeros(3))
    np.testing.assert_array_equal(grads["y"], jnp.ones(3))


# ---- outputs


def test_aux_cotangent_and_values(x64):
    x, w = data()

    def with_aux(x, w):
        return network(x, w), {"x": x}

    (value, aux), grads, named = retain_grads(with_aux, has_aux=True, values=True)(x, w)
    h = before(x, w)
    same(value, after(h))
    same(aux["x"], x)
    same(named["h"], h)
    same(grads["h"], jax.grad(after)(h))

    def pair(x, w):
        h = checkpoint_name(before(x, w), "h")
        return {"sin": jnp.sin(h), "total": h.sum()}

    weights = {"sin": jnp.cos(3 * h), "total": jnp.asarray(2.0)}
    _, grads = retain_grads(pair, cotangent=weights)(x, w)
    same(grads["h"], jnp.cos(h) * weights["sin"] + 2)


def test_a_constant_value():
    def f(x):
        checkpoint_name(x * 2, "h")
        return 1.0

    value, grads = retain_grads(f)(jnp.ones(3))
    same(value, jnp.asarray(1.0, jnp.float32))
    np.testing.assert_array_equal(grads["h"], jnp.zeros(3))


def test_a_complex_array_has_the_convention_of_jax_grad():
    def after(z):
        return jnp.abs(z**2).sum()

    z = jnp.asarray([1.0 + 2.0j, -0.5 + 1.0j])
    _, grads = retain_grads(lambda z: after(checkpoint_name(z, "z")))(z)
    np.testing.assert_array_equal(grads["z"], jax.grad(after)(z))


def test_the_contexts_of_f_hold():
    """Metadata for XLA is a context that an equation carries, not its parameter."""

    def f(x):
        with set_xla_metadata(kept="yes"):
            x = jnp.sin(x)
        return checkpoint_name(x, "x").sum()

    for g in (f, retain_grads(f), named_values(f)):
        assert 'kept = "yes"' in jax.jit(g).lower(1.0).as_text()


def test_named_values_are_in_the_order_of_f_and_may_be_integers():
    def f(x):
        z = checkpoint_name(x.argsort(), "z")
        return checkpoint_name(x[z], "a")

    value, named = named_values(f)(jnp.asarray([3.0, 1.0, 2.0]))
    assert list(named) == ["z", "a"]
    np.testing.assert_array_equal(named["z"], [1, 2, 0])
    np.testing.assert_array_equal(named["a"], value)


# ---- names inside calls


@pytest.mark.parametrize(
    "call", [jax.jit, jax.checkpoint, lambda f: jax.jit(jax.jit(f))]
)
def test_names_inside_calls(call, x64):
    x, w = data()
    inner = call(lambda h: 3 * checkpoint_name(h**2, "square"))

    def f(x, w):
        return after(inner(before(x, w)))

    _, grads = retain_grads(f)(x, w)
    same(grads["square"], jax.grad(lambda s: after(3 * s))(before(x, w) ** 2))


def test_names_inside_closed_call():
    x = jnp.asarray([1.0, 2.0])
    body = jax.make_jaxpr(lambda x: checkpoint_name(x * 2, "h") ** 2)(x)

    def f(x):
        params = closed_call_p.get_bind_params({"call_jaxpr": body})
        return closed_call_p.bind(x, **params)[0].sum()

    np.testing.assert_array_equal(retain_grads(f)(x)[1]["h"], 4 * x)


def test_names_inside_vmap_have_the_batch_axis(x64):
    x = data()[0]

    def f(x):
        row = jax.vmap(lambda r: checkpoint_name(jnp.tanh(r), "row").prod())
        return (row(x) ** 2).sum()

    _, grads = retain_grads(f)(x)
    same(grads["row"], jax.grad(lambda h: (h.prod(1) ** 2).sum())(jnp.tanh(x)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("how", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_scan_stacks_the_steps(how, reverse, x64):
    x, w = data()

    def recurrent(x, shifts, mark=lambda h, name: h):
        def step(h, row):
            r, shift = row
            h = mark(jnp.tanh(h @ (w @ w.T) + r), "h") + shift
            return h, h.sum()

        last, sums = jax.lax.scan(step, x[0], (x, shifts), reverse=reverse)
        return (last**2).sum() + (sums**3).sum()

    zeros = jnp.zeros_like(x)
    _, grads, named = how(
        retain_grads(lambda x: recurrent(x, zeros, checkpoint_name), values=True)
    )(x)
    same(grads["h"], jax.grad(recurrent, argnums=1)(x, zeros))
    order = range(len(x))[::-1] if reverse else range(len(x))
    h = x[0]
    for i in order:
        h = jnp.tanh(h @ (w @ w.T) + x[i])
        same(named["h"][i], h)


@pytest.mark.parametrize("wide", [False, True])
def test_nested_scan_and_fori_loop(wide):
    with jax.enable_x64(wide):

        def f(x):
            def inner(i, c):
                return c * checkpoint_name(c + i, "t")

            def outer(c, a):
                return jax.lax.fori_loop(0, 3, inner, c * a), None

            return jax.lax.scan(outer, 1.0, x)[0]

        x = jnp.asarray([0.3, 0.7], jnp.float64 if wide else jnp.float32)
        value, grads, named = retain_grads(f, values=True)(x)
        assert grads["t"].shape == (2, 3)
        assert grads["t"].dtype == x.dtype

        def unrolled(shift):
            c, ts = 1.0, []
            for i in range(2):
                c = c * x[i]
                for j in range(3):
                    ts.append(c + j + shift[i, j])
                    c = c * ts[-1]
            return c, jnp.stack(ts).reshape(2, 3)

        zero = jnp.zeros((2, 3), x.dtype)
        expected, ts = jax.grad(unrolled, has_aux=True)(zero)
        same(value, unrolled(zero)[0], 1e-6)
        same(named["t"], ts, 1e-6)
        same(grads["t"], expected, 1e-6)


def test_scan_over_keys_and_constants():
    def f(keys, w):
        def step(c, key):
            noise = checkpoint_name(jax.random.normal(key, w.shape), "noise")
            return c + (w * noise).sum(), None

        return jax.lax.scan(step, 0.0, keys)[0]

    w = jnp.asarray([1.0, 2.0])
    _, grads = retain_grads(f)(jax.random.split(KEY, 3), w)
    np.testing.assert_array_equal(grads["noise"], jnp.stack([w] * 3))


@pytest.mark.parametrize("how", [lambda f: f, jax.jit, "vmap"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cond_has_the_branch_taken(sign, how):
    def f(x):
        def up(x):
            return checkpoint_name(checkpoint_name(x * 2, "only_up") ** 2, "both").sum()

        def down(x):
            return (
                checkpoint_name(checkpoint_name(x * 3, "only_down"), "both").sum() * 7
            )

        return jax.lax.cond(x.sum() > 0, up, down, x)

    x = sign * jnp.asarray([1.0, 2.0])
    retained = retain_grads(f, values=True)
    if how == "vmap":
        result = jax.vmap(retained)(jnp.stack([x, -x]))
        _, grads, named = jax.tree.map(lambda a: a[0], result)
    else:
        _, grads, named = how(retained)(x)
    both, only_up = (1.0, 4 * x) if sign > 0 else (7.0, 0 * x)
    only_down = 0.0 if sign > 0 else 7.0
    np.testing.assert_array_equal(grads["both"], jnp.full(2, both))
    np.testing.assert_array_equal(grads["only_up"], only_up)
    np.testing.assert_array_equal(grads["only_down"], jnp.full(2, only_down))
    np.testing.assert_array_equal(named["both"], 4 * x**2 if sign > 0 else 3 * x)
    np.testing.assert_array_equal(named["only_up"], 2 * x if sign > 0 else 0 * x)


def test_names_survive_for_an_outer_policy_and_an_outer_retain():
    def outer(x):
        _, grads = retain_grads(lambda x: (checkpoint_name(x**2, "y") ** 2).sum())(x)
        return (grads["y"] ** 2).sum()

    x = jnp.asarray([1.0, 2.0])
    _, grads = retain_grads(outer)(x)  # sum((2 y)^2), so 8 y
    np.testing.assert_array_equal(grads["y"], 8 * x**2)


# ---- rules derived by hand


def wrong_tanh():
    @jax.custom_vjp
    def tanh(x):
        return jnp.tanh(x)

    tanh.defvjp(lambda x: (jnp.tanh(x), None), lambda res, dy: (100 * dy,))
    return tanh


@pytest.mark.parametrize("call", [lambda f: f, jax.jit, jax.checkpoint])
def test_the_rule_of_a_custom_vjp_is_used_even_a_wrong_one(call):
    tanh = wrong_tanh()

    def f(x):
        return call(lambda x: tanh(checkpoint_name(x, "x")).sum())(x)

    _, grads = retain_grads(f)(jnp.asarray([0.5, -2.0]))
    np.testing.assert_array_equal(grads["x"], jnp.full(2, 100.0))


def test_the_rule_is_used_inside_scan_and_cond():
    tanh = wrong_tanh()

    def f(x):
        def step(c, a):
            return c + tanh(checkpoint_name(a, "a")), None

        total = jax.lax.scan(step, 0.0, x)[0]
        down = jax.lax.cond(
            total > -9, lambda t: tanh(checkpoint_name(t * 1, "t")), lambda t: t, total
        )
        return down

    _, grads = retain_grads(f)(jnp.asarray([0.5, -2.0]))
    np.testing.assert_array_equal(grads["t"], 100.0)
    np.testing.assert_array_equal(grads["a"], jnp.full(2, 1e4))


def test_our_rules_are_used_inside(x64, monkeypatch):
    """A batchnorm whose hand-derived dx is halved halves the gradient before it."""
    x, _ = data()
    gamma, beta = jnp.asarray([1.0, 2.0, 0.5]), jnp.zeros(3)

    def f(x):
        y = manual.batchnorm(checkpoint_name(jnp.sin(x), "hprebn"), gamma, beta)
        return (checkpoint_name(y, "hpreact") ** 3).sum()

    right = retain_grads(f)(x)[1]
    true_bwd = manual.batchnorm.bwd

    def halved(*args):
        dx, *rest = true_bwd(*args)
        return (dx / 2, *rest)

    monkeypatch.setattr(manual.batchnorm, "bwd", halved)
    wrong = retain_grads(f)(x)[1]
    assert float(abs(right["hprebn"]).max()) > 0.1
    same(wrong["hprebn"], right["hprebn"] / 2)
    same(wrong["hpreact"], right["hpreact"])


def test_custom_jvp_rules_are_used():
    @jax.custom_jvp
    def odd(x):
        return jnp.sin(x)

    odd.defjvp(lambda primals, tangents: (odd(*primals), 3 * tangents[0]))
    _, grads = retain_grads(lambda x: odd(checkpoint_name(x, "x")))(jnp.float32(1.0))
    assert grads["x"] == 3


# ---- the lecture's network


def lecture(C, W1, b1, gain, bias, W2, b2, ids, labels, eps=1e-5):
    n = len(ids)
    emb = checkpoint_name(C[ids], "emb")
    embcat = checkpoint_name(emb.reshape(n, -1), "embcat")
    hprebn = checkpoint_name(embcat @ W1 + b1, "hprebn")
    bnmeani = checkpoint_name(hprebn.mean(0, keepdims=True), "bnmeani")
    bndiff = checkpoint_name(hprebn - bnmeani, "bndiff")
    bndiff2 = checkpoint_name(bndiff**2, "bndiff2")
    bnvar = checkpoint_name(bndiff2.sum(0, keepdims=True) / (n - 1), "bnvar")
    bnvar_inv = checkpoint_name(jax.lax.rsqrt(bnvar + eps), "bnvar_inv")
    bnraw = checkpoint_name(bndiff * bnvar_inv, "bnraw")
    hpreact = checkpoint_name(gain * bnraw + bias, "hpreact")
    h = checkpoint_name(jnp.tanh(hpreact), "h")
    logits = checkpoint_name(h @ W2 + b2, "logits")
    logit_maxes = checkpoint_name(logits.max(1, keepdims=True), "logit_maxes")
    norm_logits = checkpoint_name(logits - logit_maxes, "norm_logits")
    counts = checkpoint_name(jnp.exp(norm_logits), "counts")
    counts_sum = checkpoint_name(counts.sum(1, keepdims=True), "counts_sum")
    counts_sum_inv = checkpoint_name(1 / counts_sum, "counts_sum_inv")
    probs = checkpoint_name(counts * counts_sum_inv, "probs")
    logprobs = checkpoint_name(jnp.log(probs), "logprobs")
    return -logprobs[jnp.arange(n), labels].mean()


@pytest.fixture
def lecture_inputs(x64):
    rng = np.random.default_rng(2)
    shapes = [(5, 2), (6, 7), (7,), (7,), (7,), (7, 5), (5,)]
    arrays = [rng.normal(size=s) for s in shapes]
    return [*arrays, rng.integers(0, 5, (8, 3)), rng.integers(0, 5, 8)]


def test_the_atomic_steps_of_the_lecture(lecture_inputs):
    """The gradients that the lecture derives on paper, between neighbouring steps."""
    truth = jax.jit(retain_grads(lecture, values=True))(*lecture_inputs)
    value, d, v = jax.tree.map(np.asarray, truth)
    C, W1, _, gain, _, W2, _, ids, labels = lecture_inputs
    n = len(ids)
    assert len(d) == 19
    assert {k: g.shape for k, g in d.items()} == {k: a.shape for k, a in v.items()}
    onehot = np.eye(5)[labels]

    same(value, -(onehot * np.log(v["probs"])).sum() / n)
    same(d["logprobs"], -onehot / n)
    same(d["probs"], d["logprobs"] / v["probs"])
    same(d["counts_sum_inv"], (d["probs"] * v["counts"]).sum(1, keepdims=True))
    same(d["counts_sum"], -d["counts_sum_inv"] * v["counts_sum_inv"] ** 2)
    same(d["counts"], d["counts_sum"] + d["probs"] * v["counts_sum_inv"], 1e-12)
    same(d["norm_logits"], d["counts"] * v["counts"])
    assert float(abs(d["logit_maxes"]).max()) < 1e-15
    same(d["logits"], (v["probs"] - onehot) / n, 1e-12)
    same(d["h"], d["logits"] @ W2.T)
    same(d["hpreact"], (1 - v["h"] ** 2) * d["h"])
    same(d["bnraw"], gain * d["hpreact"])
    same(d["bnvar_inv"], (d["bnraw"] * v["bndiff"]).sum(0, keepdims=True))
    same(d["bnvar"], -0.5 * v["bnvar_inv"] ** 3 * d["bnvar_inv"])
    same(d["bndiff2"], np.ones((n, 1)) * d["bnvar"] / (n - 1))
    same(d["bndiff"], v["bnvar_inv"] * d["bnraw"] + 2 * v["bndiff"] * d["bndiff2"])
    assert float(abs(d["bnmeani"] + d["bndiff"].sum(0, keepdims=True)).max()) < 1e-15
    same(d["hprebn"], d["bndiff"] + d["bnmeani"] / n)
    same(d["embcat"], d["hprebn"] @ W1.T)
    same(d["emb"], d["embcat"].reshape(n, 3, 2))
    # and the chain ends at the parameters as jax.grad says
    dC, dW1 = jax.jit(jax.grad(lecture, argnums=(0, 1)))(*lecture_inputs)
    same(v["embcat"].T @ d["hprebn"], dW1, 1e-12)
    rows = np.zeros_like(C)
    np.add.at(rows, ids, d["emb"])
    same(rows, dC, 1e-12)


# ---- what is refused


def x3():
    return jnp.asarray([1.0, 2.0, 3.0])


def refuse(error, match, f, *args, **options):
    with pytest.raises(error, match=match):
        retain_grads(f, **options)(*(args or (x3(),)))


def test_no_name():
    def plain(x):
        return x.sum()

    refuse(ValueError, r"plain names no array.*checkpoint_name\(h, \"h\"\)", plain)
    with pytest.raises(ValueError, match="names no array"):
        named_values(plain)(x3())


def test_a_repeated_name_is_refused_with_both_places():
    def f(x):
        x = checkpoint_name(x * 2, "h")
        return jax.jit(lambda x: checkpoint_name(x * 3, "h"))(x).sum()

    place = r"test_gradients.py:(\d+)"
    places = rf"'h' is given twice, at \S*{place}\S* .*{place}"
    with pytest.raises(ValueError, match="given twice") as caught:
        retain_grads(f)(x3())
    first, second = re.search(places, str(caught.value)).groups()
    assert int(second) == int(first) + 1


def test_a_name_in_a_loop_and_in_a_pytree():
    def loop(x):
        for _ in range(2):
            x = checkpoint_name(x * 2, "h")
        return x.sum()

    def tree(x):
        a, b = checkpoint_name((x, x * 2), "pair")
        return (a * b).sum()

    refuse(ValueError, "'h' is given twice.*number it", loop)
    refuse(ValueError, "'pair' is given twice.*name each leaf", tree)


def test_names_in_branches_must_agree():
    def f(x):
        return jax.lax.cond(
            x[0] > 0,
            lambda x: checkpoint_name(x * 2, "h").sum(),
            lambda x: checkpoint_name(x.sum(), "h"),
            x,
        )

    refuse(ValueError, r"'h' is float32\[\d?\] in one branch.*float32\[\d?\] in", f)


def in_while(x):
    def body(c):
        return checkpoint_name(c * 2, "inner")

    return jax.lax.while_loop(lambda c: c.sum() < 9, body, x).sum()


def in_custom_vjp(x):
    @jax.custom_vjp
    def f(x):
        return checkpoint_name(x * 2, "inner").sum()

    f.defvjp(lambda x: (f(x), None), lambda res, dy: (dy * x3(),))
    return jax.jit(f)(x)


def in_custom_jvp(x):
    @jax.custom_jvp
    def f(x):
        return checkpoint_name(x * 2, "inner").sum()

    f.defjvps(lambda dx, y, x: dx.sum())
    return f(x)


def in_solve(x):
    def matvec(x):
        return checkpoint_name(x * 2, "inner")

    return jax.lax.custom_linear_solve(matvec, x, lambda _, b: b / 2).sum()


@pytest.mark.parametrize(
    ("f", "construct"),
    [
        (in_while, "while"),
        (in_custom_vjp, "custom_vjp_call"),
        (in_custom_jvp, "custom_jvp_call"),
        (in_solve, "custom_linear_solve"),
    ],
)
def test_a_name_out_of_reach(f, construct):
    place = rf"'inner' at \S*test_gradients.py:\d+.*is inside a {construct}"
    refuse(ValueError, place, f)
    with pytest.raises(ValueError, match=place):
        named_values(f)(x3())


def test_integers_have_no_gradient():
    def f(x):
        i = checkpoint_name(x.argmax(), "i")
        return checkpoint_name(x, "x")[i]

    refuse(TypeError, r"'i' at \S*test_gradients.py:\d+.*is int32.*named_values", f)


def scanned(f):
    return lambda x: jax.lax.scan(lambda c, row: (c + f(row), None), 0.0, x[None])[0]


@pytest.mark.parametrize("call", [lambda f: f, jax.jit, scanned])
def test_a_result_of_checkpoint_name_that_is_dropped(call):
    def f(x):
        h = x * 2
        checkpoint_name(h, "h")
        return (h**2).sum()

    refuse(ValueError, r"'h' at .* is lost.*h = checkpoint_name\(h, \"h\"\)", call(f))


def test_the_argument_of_checkpoint_name_may_be_used_besides_its_result():
    def both_used(x):
        y = checkpoint_name(x * 2, "y")
        h = y + 1
        return (checkpoint_name(h, "h") * h).sum()

    def returned(x):
        total = x.sum()
        return checkpoint_name(total, "total"), total**2

    _, grads = retain_grads(both_used)(x3())
    np.testing.assert_array_equal(grads["h"], 2 * x3() + 1)
    np.testing.assert_array_equal(grads["y"], 4 * x3() + 2)
    assert retain_grads(returned, has_aux=True)(x3())[1]["total"] == 1


def test_outputs_that_do_not_fit():
    def f(x):
        return checkpoint_name(x * 2, "h")

    def integer(x):
        return f(x).argmax()

    refuse(TypeError, r"returned float32\[3\], and a gradient needs a real scalar", f)
    refuse(TypeError, r"returned int32\[\]", integer)
    refuse(TypeError, r"int32\[\]; only floating-point", integer, cotangent=1)
    refuse(TypeError, r"must return \(value, aux\), not a", f, has_aux=True)
    refuse(TypeError, "real scalar", lambda x: (f(x).sum(),))
    refuse(TypeError, "real scalar", lambda x: f(x).sum() + 1j)
    fits = r"cotangent is float32\[2\], expected .*float32\[3\]"
    refuse(ValueError, fits, f, cotangent=jnp.ones(2))
    refuse(
        ValueError, r"cotangent is float16\[3\]", f, cotangent=jnp.ones(3, "float16")
    )
    refuse(ValueError, "cotangent is", f, cotangent=(jnp.ones(3),))


def test_a_number_can_be_named():
    value, grads = retain_grads(lambda x: checkpoint_name(x * 2, "h"))(1.0)
    assert (float(value), float(grads["h"])) == (2.0, 1.0)
