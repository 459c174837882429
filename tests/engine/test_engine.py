"""The graph and the walk: what the lecture says of them, and JAX's constructs."""

import math
import operator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import primitives

from jaxninja.engine import (
    PRIMITIVES,
    Gradients,
    NoRule,
    backward,
    trace,
    value_and_grad,
)
from tests.engine.agree import agree, same
from tests.engine.inputs import doubled, tripled

X = np.random.default_rng(0).normal(size=(3, 4))


# ---- the graph


def test_a_node_used_twice_gets_two_terms():
    """The lecture's accumulation bug: a = 1, b = a + a, c = b + b; dc/da = 4."""

    def c(a):
        b = checkpoint_name(a + a, "b")
        return b + b

    grads = backward(trace(c, 1.0))
    assert (grads["a"], grads["b"]) == (4, 2)


def test_a_second_walk_gives_the_same_again():
    graph = trace(lambda x: jnp.tanh(x * x).sum(), X)
    first, second = backward(graph), backward(graph)
    np.testing.assert_array_equal(first["x"], second["x"])
    assert float(abs(first["x"]).max()) > 0


def test_nodes_know_where_they_come_from():
    def f(a, params):
        with jax.named_scope("layer"):
            h = checkpoint_name(a * params["w"], "h")
        return jax.jit(jnp.tanh)(h) + 2.0

    graph = trace(f, np.float32(3.0), {"w": np.float32(0.5)})
    a, w, h, *_, y = graph.nodes
    assert (a.name, w.name, h.name, y.name) == ("a", "params['w']", "h", None)
    assert (a.primitive, h.primitive, y.primitive) == ("argument", "mul", "add")
    assert h.operands == (a.index, w.index)
    assert h.scope == ("layer",)
    assert (h.value, h.shape, h.dtype) == (1.5, (), np.float32)
    assert graph.output == y.value
    assert [n.scope for n in graph.nodes if n.primitive == "tanh"] == [("tanh",)]


def test_every_node_has_its_gradient(x64):
    def after(h):
        return (jnp.sin(h) * h).sum()

    graph = trace(lambda x: after(checkpoint_name(jnp.exp(x) / 3, "h")), X)
    grads = backward(graph)
    same(grads["h"], jax.grad(after)(jnp.exp(X) / 3))
    assert isinstance(grads, Gradients)
    assert len(grads) == len(graph)
    for node in graph.nodes:
        moves = node.primitive not in ("constant", "iota")
        assert (grads[node] is not None) == (node.active) == moves
        assert not moves or grads[node].shape == node.shape
    assert grads[graph.nodes[-1]] == 1


def test_what_does_not_matter_has_gradient_zero_and_what_cannot_move_has_none():
    def f(x, ids):
        checkpoint_name(x * 2, "unused")
        checkpoint_name(jnp.ones(3) + 1, "fixed")
        checkpoint_name(lax.stop_gradient(x), "stopped")
        return x[ids].sum()

    grads = backward(trace(f, X, np.array([1, 1])))
    np.testing.assert_array_equal(grads["unused"], np.zeros((3, 4)))
    np.testing.assert_array_equal(grads["x"], [[0] * 4, [2] * 4, [0] * 4])
    assert grads["fixed"] is None
    assert grads["stopped"] is None
    assert grads["ids"] is None


def test_ints_and_objects_stay_as_they_are():
    def f(x, axis, options):
        assert isinstance(axis, int)
        return x.sum(axis)[options["keep"]]

    graph = trace(f, X, 1, {"keep": 2, "mode": "a"})
    assert [n.name for n in graph.nodes if n.primitive == "argument"] == ["x"]
    dx, axis, options = backward(graph).arguments
    np.testing.assert_array_equal(dx, [[0] * 4, [0] * 4, [1] * 4])
    assert axis is None
    assert options == {"keep": None, "mode": None}


def test_a_cotangent_weighs_the_outputs(x64):
    graph = trace(lambda x: {"a": x * 2, "b": (x.sum(), x.argmax())}, X)
    ct = {"a": X, "b": (3.0, None)}
    with pytest.raises(ValueError, match="cotangent has the structure"):
        backward(graph, ct)
    ct["b"] = (3.0, 0)
    np.testing.assert_allclose(backward(graph, ct)["x"], 2 * X + 3, rtol=1e-15)
    ct["a"] = X[:1]
    with pytest.raises(ValueError, match=r"shape \(1, 4\), expected \(3, 4\)"):
        backward(graph, ct)
    with pytest.raises(TypeError, match="needs a real scalar"):
        backward(graph)


def test_a_deep_graph_needs_no_recursion():
    def f(x):
        for _ in range(3000):
            x = x * 1.0001
        return x

    value, grad = value_and_grad(f)(1.0)
    np.testing.assert_allclose([value, grad], 1.0001**3000, rtol=1e-3)


def test_a_graph_is_a_pytree_that_jit_returns():
    def f(x):
        return jnp.tanh(x).sum()

    graph = jax.jit(partial(trace, f))(X)
    grads = jax.jit(lambda x: backward(trace(f, x)))(X)
    np.testing.assert_allclose(backward(graph)["x"], 1 - np.tanh(X) ** 2, rtol=1e-5)
    np.testing.assert_allclose(grads["x"], 1 - np.tanh(X) ** 2, rtol=1e-5)


def test_names_that_are_missing_or_given_twice():
    def f(x):
        return checkpoint_name(x, "h") + checkpoint_name(x * 2, "h")

    grads = backward(trace(f, 1.0))
    with pytest.raises(KeyError, match="2 nodes are named 'h'"):
        _ = grads["h"]
    with pytest.raises(KeyError, match=r"'k'.*: h"):
        _ = grads["k"]


# ---- value_and_grad, as JAX's


def model(params, x, scale=1.0):
    h = jnp.tanh(x @ params["w"] + params["b"])
    return (h**2).mean() * scale, {"h": h}


@pytest.mark.parametrize("argnums", [0, -1, [1, 0]])
def test_argnums_aux_and_pytrees(argnums, x64):
    params = {"w": jnp.asarray(X.T), "b": jnp.asarray(X[0, :3])}
    mine = jax.jit(value_and_grad(model, argnums, has_aux=True))
    truth = jax.jit(jax.value_and_grad(model, argnums, has_aux=True))
    same(mine(params, jnp.asarray(X)), truth(params, jnp.asarray(X)))


def test_keywords_and_static_arguments():
    def f(x, power, *, mode):
        assert isinstance(power, int)
        assert mode == "sum"
        return (x**power).sum()

    _, grad = value_and_grad(f)(X, 2, mode="sum")
    np.testing.assert_allclose(grad, 2 * X, rtol=1e-6)
    assert value_and_grad(f).__name__ == "f"


def test_under_vmap_and_twice(x64):
    def f(x):
        return jnp.tanh(x @ x).prod() + jax.nn.relu(x).sum()

    squares = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 3)))

    def slope(x, vg):
        return (vg(f)(x)[1] ** 2).sum()

    @partial(jax.jit, static_argnums=0)
    def both(vg, x):
        return jax.vmap(vg(f))(x), vg(partial(slope, vg=vg))(x[0])

    same(both(value_and_grad, squares), both(jax.value_and_grad, squares))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_have_the_dtype_of_their_argument(dtype):
    def f(x, w):
        h = jax.nn.gelu(x.astype(w.dtype) @ w) * 2 + x.mean()
        return (jax.nn.softmax(h) ** 3).sum().astype(jnp.float32)

    x, w = jnp.asarray(X, dtype), jnp.asarray(X.T, jnp.float32)
    eps = float(jnp.finfo(dtype).eps)
    same(
        jax.jit(value_and_grad(f, (0, 1)))(x, w),
        jax.jit(jax.value_and_grad(f, (0, 1)))(x, w),
        tolerance=32 * eps,
    )


def test_conventions_at_kinks():
    def grad(f, *x):
        return value_and_grad(f)(*x)[1]

    assert grad(jax.nn.relu, 0.0) == 0
    assert grad(abs, 0.0) == jax.grad(abs)(0.0)
    assert grad(lambda x: jnp.maximum(x, 0.0), 0.0) == 0.5
    tied = grad(jnp.max, jnp.asarray([3.0, 1.0, 3.0, 3.0]))
    np.testing.assert_allclose(tied, [1 / 3, 0, 1 / 3, 1 / 3])


# ---- rules of one's own, and calls


def test_the_bwd_of_a_custom_vjp_is_used_and_the_jvp_of_a_custom_jvp(x64):
    x = jnp.asarray(0.3)
    assert value_and_grad(doubled)(x, 3)[1] == 2 * 3 * jnp.cos(x)  # wrong on purpose
    grad = value_and_grad(lambda x: tripled(x, 2.0)[0])(x)[1]
    np.testing.assert_allclose(grad, 3 * jnp.cos(x) * 2, rtol=1e-15)


@pytest.mark.parametrize(
    "wrap", [jax.jit, jax.checkpoint, jax.vmap], ids=["jit", "checkpoint", "vmap"]
)
def test_rules_are_used_inside_of_calls(wrap, x64):
    def f(x):
        return wrap(lambda x: doubled(x, 3) * tripled(x, x)[1])(x).sum()

    agree(f, X[0])


def test_rules_are_used_inside_of_loops_and_branches(x64):
    def f(x):
        def step(c, a):
            return lax.cond(a > 0, lambda c: doubled(c, 2), lambda c: c * a, c), c

        last, every = lax.scan(step, x[0], x)
        return last + jax.checkpoint(lambda e: (tripled(e, e)[0] ** 2).sum())(every)

    agree(f, X[0])
    agree(f, -X[0])


def test_symbolic_zeros(x64):
    @jax.custom_jvp
    def f(x, y, n):
        return x * y, y * n

    def jvp(primals, tangents):
        (x, y, n), (dx, dy, dn) = primals, tangents
        assert type(dx).__name__ == type(dn).__name__ == "SymbolicZero"
        return f(x, y, n), (x * dy, dy * n)

    f.defjvp(jvp, symbolic_zeros=True)
    agree(lambda y: f(X, y, 3), X)


def test_mixed_arguments_of_a_custom_vjp(x64):
    """An integer argument and output, a nested tree, one gradient left out."""

    @jax.custom_vjp
    def f(tree, ids):
        return tree["w"][ids] * tree["s"], ids + 1

    def fwd(tree, ids):
        return f(tree, ids), (tree, ids)

    def bwd(res, cts):
        tree, ids = res
        dw = jnp.zeros_like(tree["w"]).at[ids].add(cts[0] * tree["s"])
        return {"w": dw, "s": None}, None

    f.defvjp(fwd, bwd)
    agree(lambda w, s: f({"w": w, "s": s}, np.array([0, 2, 2])), X, np.float64(2))


def test_names_inside_of_bodies(x64):
    w = jnp.asarray(X[:, :3])

    def f(x):
        def step(h, row):
            h = checkpoint_name(jnp.tanh(w @ h + row), "h")
            return h, None

        h, _ = lax.scan(step, jnp.ones(3), x)
        return lax.cond(h[0] > -2, lambda h: checkpoint_name(h * 2, "up").sum(), sum, h)

    graph = trace(f, X.T)
    grads = backward(graph)
    np.testing.assert_allclose(grads["up"], [1, 1, 1])
    h = grads["h"]
    assert h.shape == (4, 3)
    np.testing.assert_allclose(h[-1], [2, 2, 2])
    (scan,) = [k for k, s in enumerate(graph.tape.steps) if s.name.startswith("scan")]
    (body,) = graph.bodies(scan)
    values = [n.value for n in body.nodes if n.name == "h"]
    assert values[0].shape == (4, 3)
    # the gradient of h at one step: through tanh and w to the step before
    np.testing.assert_allclose(
        h[-2], w.T @ ((1 - values[0][-1] ** 2) * h[-1]), rtol=1e-14
    )


def test_weights_of_a_recurrent_network_are_not_stacked():
    def f(w, xs):
        return lax.scan(lambda h, x: (jnp.tanh(h @ w + x), None), xs[0], xs)[0].sum()

    graph = trace(f, X[:, :3], X[:, :3])
    (saved,) = graph.saved.values()
    assert [v.shape for v in saved.graph.values].count((3, 3, 3)) == 0


def test_a_checkpoint_keeps_its_operands_only():
    graph = trace(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)).sum()), X)
    assert len(graph) == 2
    policy = jax.checkpoint_policies.everything_saveable
    agree(jax.checkpoint(lambda x: jnp.sin(x) ** 2, policy=policy), X, tolerance=1e-6)


def test_complex_numbers_on_the_way_and_as_arguments(x64):
    def power(x):
        return (abs(jnp.fft.fft(x)) ** 2).sum() + ((x + 1j) * (x - 1j)).real.sum()

    z = jnp.asarray(X[:3, :3] + 1j * X[:, 1:])
    mine, truth = value_and_grad(power), jax.value_and_grad(power)
    for argument in (X[0], z):
        same(*jax.jit(lambda x: (mine(x), truth(x)))(argument))
    agree(lambda z: jnp.exp(z) @ z, z)
    with pytest.raises(TypeError, match=r"complex128\[\], and a gradient needs"):
        value_and_grad(lambda z: z.sum())(z)


# ---- what is refused


def test_a_while_loop_is_refused_where_a_gradient_comes_to_it():
    def f(x):
        return lax.while_loop(lambda c: c < 9, lambda c: c * 2, x)

    with pytest.raises(NoRule, match=r"while loop at \S*test_engine.py.*jax.lax.scan"):
        value_and_grad(f)(1.0)
    assert value_and_grad(lambda x: lax.stop_gradient(f(x)) * x)(1.0)[1] == 16


def test_a_primitive_without_a_rule_and_how_to_give_one():
    rules = {p: rule for p, rule in PRIMITIVES.items() if p is not primitives.tanh_p}
    text = r"no rule for the primitive 'tanh'.*test_engine.py.*\{\*\*PRIMITIVES"
    with pytest.raises(NoRule, match=text):
        value_and_grad(lambda x: jnp.tanh(x), rules=rules)(0.5)
    stopped = value_and_grad(lambda x: x + lax.stop_gradient(jnp.tanh(x)), rules=rules)
    assert stopped(0.5)[1] == 1  # no gradient comes to it, so no rule is missed

    def slope_of_one(dy, y, x, **_):
        return (dy,)

    mine = {**rules, primitives.tanh_p: slope_of_one}
    assert value_and_grad(lambda x: jnp.tanh(3 * x), rules=mine)(0.5)[1] == 3


def unsolved(b):
    return lax.custom_linear_solve(lambda x: 2 * x, b, lambda _, b: b / 2)


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: lax.betainc(x, x, 0.5), "regularized_incomplete_beta' for its oper"),
        (lambda x: lax.polygamma(x, x), "polygamma' for its operand 0"),
        (lambda x: x.at[0].apply(jnp.sin), r"write x.at\[i\].set"),
        (lambda x: jnp.linalg.qr(x, "complete")[1], r"qr of a \[4, 3\] matrix"),
        (lambda x: jnp.linalg.svd(x)[0], r"svd of a \[4, 3\] matrix"),
        (unsolved, "no transpose_solve"),
    ],
    ids=["betainc", "polygamma", "apply", "qr", "svd", "solve"],
)
def test_what_has_no_derivative_is_refused(f, text):
    with pytest.raises(NoRule, match=text):
        value_and_grad(lambda x: f(x).sum())(abs(X.T) + 0.1)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda dy, y, x, **_: dy, "returned ArrayImpl, expected a tuple of 1"),
        (lambda dy, y, x, **_: (dy, dy), "returned 2, expected a tuple of 1"),
        (lambda dy, y, x, **_: (dy.sum(),), r"returned float32\[\] for operand 0, exp"),
        (
            lambda dy, y, x, **_: (dy.astype("float16"),),
            r"float16.3, 4. for",
        ),
    ],
)
def test_a_rule_that_does_not_fit(rule, text):
    rules = {**PRIMITIVES, primitives.tanh_p: rule}
    with pytest.raises(TypeError, match=text):
        value_and_grad(lambda x: jnp.tanh(x).sum(), rules=rules)(X)


def test_the_table_is_a_value_and_cannot_be_changed():
    with pytest.raises(TypeError):
        operator.setitem(PRIMITIVES, primitives.tanh_p, None)


def branches(x):
    if x > 0:
        return x
    return -x


JNP = "before there are numbers: use jnp, as in jnp.sin$"
NUMBERS = {
    "if": (branches, r"^branches at test_engine.py:\d+ asks .*: use jnp.where or jax."),
    "float": (lambda x: float(x) * x, f"^<lambda> at test_engine.py:.*float.x.*{JNP}"),
    "math": (math.sin, f"^sin makes a Python number .*{JNP}"),
    "range": (lambda x: sum(range(jnp.int32(x))) * x, f"makes a Python number .*{JNP}"),
    "mask": (lambda x: (x * X)[x * X > 0], "picks entries by a .*: use jnp.where$"),
    "NumPy": (lambda x: np.sin(x), f"gives a traced value to NumPy, as np.sin .*{JNP}"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_function_that_needs_numbers_is_told_where(kind):
    f, text = NUMBERS[kind]
    for ask in (trace, lambda f, x: value_and_grad(f)(x)):
        with pytest.raises(TypeError, match=text):
            ask(f, 2.0)


def test_an_error_of_the_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: x * (1 // 0), 2.0)


def test_ints_are_told_to_have_no_gradient():
    graph = trace(lambda a, b: a * b, 2, 3.0)
    assert "no gradient for a = 2: an int is a constant" in graph.to_text()
    assert "no gradient for a = 2: " in graph.to_svg()
    assert "no gradient" not in trace(lambda a, on: a * on, 2.0, True).to_text()
    with pytest.raises(
        TypeError, match=r"returned int32\[\], .* pass floats, 2.0 for 2"
    ):
        backward(trace(lambda a: a * a, 2))
    with pytest.raises(TypeError, match=r"reduce it, or give its weights as the cotan"):
        backward(trace(lambda x: x, X))


def test_what_is_no_function_and_no_graph_is_told():
    with pytest.raises(TypeError, match=r"trace takes a function.*not a float"):
        trace(3.0)
    with pytest.raises(
        TypeError, match=r"graph that trace\(f, ...\) returns, not a float"
    ):
        backward(3.0)


def test_bad_arguments():
    def refuse(text, f, *args, **options):
        with pytest.raises(TypeError, match=text):
            value_and_grad(f, **options)(*args)

    refuse("holds int32.*choose others with argnums", jnp.sum, np.arange(3, dtype="i4"))
    refuse("holds str, expected floating", lambda s: 1.0, "a")
    refuse("argnums is 2, but 1 arguments", jnp.sum, X, argnums=2)
    refuse("argnums has 'x', expected the places", jnp.sum, X, argnums="x")
    refuse(r"sin returned float32\[3, 4\], and a gradient needs", jnp.sin, X)
    refuse(r"returned int32\[\], and int32 has no gradient", jnp.argmax, X)
    refuse(r"returned \('float32", lambda x: (x.sum(), x), X)
    refuse("must return .value, aux., not a", jnp.sum, X, has_aux=True)
