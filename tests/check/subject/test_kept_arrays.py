"""What a backward pass keeps: every array, where it comes from, what it costs."""

import inspect
import re
import sys

import jax
import jax.numpy as jnp
import pytest

from jaxninja import residuals_of
from jaxninja.check.errors import UserCodeError
from jaxninja.check.subject.residuals import residual_bytes
from jaxninja.cli import main
from jaxninja.rules import RULES, autodiff, manual

N, D = 7, 5
BATCHNORM = next(rule for rule in RULES if rule.name == "batchnorm")


@jax.custom_vjp
def squared(x):
    return squared_fwd(x)[0]


def squared_fwd(x):
    twice = 2 * x
    return x * x, twice


def squared_bwd(twice, dy):
    return (twice * dy,)


squared.defvjp(squared_fwd, squared_bwd)


def network(params, x, ids):
    """A scan over layers, a jitted loss, an array of its own, integers."""
    h = jax.lax.scan(lambda h, W: (manual.tanh(h @ W), None), x, params)[0]
    return jax.jit(manual.cross_entropy)(h, ids)


def arguments():
    return jnp.ones((3, D, D)), jnp.ones((N, D)), jnp.zeros(N, jnp.int32)


def line_with(function, text):
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_an_array_kept_in_two_shapes_is_in_memory_once():
    """And an argument in another shape is the argument."""

    def f(x):
        return f_fwd(x)[0]

    def f_fwd(x):
        y = jnp.sin(x)
        return y.sum() * x, (y, y[None], y.reshape(-1, 1), x[:, None])

    def f_bwd(kept, dy):
        return (sum(a.sum() for a in kept) * dy,)

    f = jax.custom_vjp(f)
    f.defvjp(f_fwd, f_bwd)
    found = residuals_of(f, jnp.ones(N)).arrays
    assert sorted(a.role for a in found) == ["argument", "computed"]
    assert [a.shape for a in found] == [(N,), (N,)]


def test_a_residual_has_the_line_that_makes_it_and_its_price():
    (twice,) = residuals_of(squared, jnp.ones((N, D))).arrays
    assert (twice.shape, twice.dtype, twice.bytes) == ((N, D), "float32", 4 * N * D)
    assert twice.where == f"test_kept_arrays.py:{line_with(squared_fwd, 'twice =')}"
    assert twice.code == "twice = 2 * x"
    assert twice.role == "computed"
    assert twice.flops == N * D


def test_arguments_and_outputs_are_told_apart():
    x = jnp.ones((N, D))
    (array,) = residuals_of(manual.gelu, x).arrays
    assert (array.role, array.where, array.flops) == ("argument", None, 0)
    (array,) = residuals_of(manual.tanh, x).arrays
    assert array.role == "output"


def test_a_rule_is_asked_at_its_benchmark_size():
    found = residuals_of(BATCHNORM)
    sizes = BATCHNORM.bench.dims
    assert found.arrays[0].shape == (sizes["N"], sizes["D"])
    assert "xhat = " in found.arrays[0].code
    assert (found.bytes, found.autodiff_bytes) == residual_bytes(BATCHNORM)
    assert found.autodiff_bytes > 2 * found.bytes


def test_a_whole_model_keeps_what_its_rules_keep():
    """In a scan's body, within jit; and autodiff's form of the same network keeps what
    the same network of plain layers does."""
    found = residuals_of(network, *arguments())
    shapes = sorted(a.shape for a in found.arrays)
    assert shapes.count((3, N, D)) == 2  # each layer's input, and its tanh
    assert (N,) in shapes
    assert {a.where.split(":")[0] for a in found.arrays if a.where} <= {
        "test_kept_arrays.py", "tanh.py", "cross_entropy.py"
    }  # fmt: skip

    def plain(params, x, ids):
        h = jax.lax.scan(lambda h, W: (autodiff.tanh(h @ W), None), x, params)[0]
        return autodiff.cross_entropy(h, ids)

    assert found.autodiff_bytes == residuals_of(plain, *arguments()).bytes > found.bytes


def test_the_price_is_from_the_other_kept_arrays():
    """b is made of a, which is kept: its price is one product and not two."""

    def f(x, W):
        a = x @ W
        b = a @ W
        return jnp.sin(a).sum() + jnp.sin(b).sum()

    x, W = jnp.ones((N, D)), jnp.ones((D, D))
    found = residuals_of(f, x, W).arrays
    prices = [a.flops for a in found if a.role == "computed"]
    assert max(prices) < 2 * (2 * N * D * D)


def test_shapes_alone_will_do():
    big = jax.ShapeDtypeStruct((1 << 20, 1 << 10), jnp.float32)
    assert residuals_of(manual.relu, big).bytes == 1 << 30


def test_what_is_no_array_is_static_within_pytrees_too():
    def f(options, x):
        return jnp.sin(x) if options["how"] == "sin" else x

    x = jnp.ones(3)
    assert residuals_of(f, {"how": "sin", "scale": 2.0}, x).bytes == 12
    assert residuals_of(f, {"how": "not"}, x).bytes == 0


def test_the_table_has_a_line_an_array():
    found = residuals_of(network, *arguments())
    lines = found.table().splitlines()
    assert len(lines) == 2 + len(found.arrays) + len(found.autodiff)
    assert f"{found.bytes:,} B" in lines[0]


@pytest.mark.parametrize(
    ("f", "args", "error"),
    [
        (3, (jnp.ones(2),), TypeError),
        (jnp.sin, (jnp.arange(3),), TypeError),
        (jnp.sin, (), TypeError),
        (lambda x: x.nothing, (jnp.ones(2),), UserCodeError),
    ],
)
def test_what_makes_no_sense_is_refused(f, args, error):
    with pytest.raises(error):
        residuals_of(f, *args)


@pytest.fixture
def module(tmp_path, monkeypatch):
    code = "f = lambda x: jnp.sin(x) * x\nargs = lambda: jnp.ones(3)\n"
    (tmp_path / "users_net.py").write_text(f"import jax.numpy as jnp\n{code}")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("users_net", None)


def test_the_command_prints_and_draws(module, capsys):
    args = ["keep", "users_net:f", "--args", "users_net:args", "--png", "kept.png"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert re.search(r"12 B\s+float32\[3\]", out)
    assert (module / "kept.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["tang"], "no rule 'tang'"),
        (["users_net:g"], "no attribute 'g'"),
        (["users_net:f"], "argument"),
        (["tanh", "--args", "users_net:args"], "--args"),
        (["users_net:f", "--args", "users_net:args", "--png", "no/k.png"], "--png"),
    ],
)
def test_bad_places_are_refused_in_a_line(module, capsys, args, text):
    assert main(["keep", *args]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
