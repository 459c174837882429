"""Hints of rules with integer outputs, and of rules on complex numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.hints import say
from tests.check.subjects import filter_case, ruled

X = np.array([[0.7, -1.9, 2.3], [0.2, 1.1, -0.4]], np.float32)
Z = np.array([1.2 - 0.3j, 0.4 + 0.9j, -0.7 - 1.1j], np.complex64)
W = np.array([0.5 + 0.8j, -1.3 + 0.2j, 0.9 - 0.6j], np.complex64)


def of_squares(bwd):
    """Squares, their sums and the places of the largest: the last are integers."""

    def plain(x):
        return x * x, x.sum(-1), jnp.argmax(x, -1)

    return ruled(plain, lambda x: (plain(x), x), bwd, ())


def halved(x, dy):
    return (x * dy[0] + dy[1][:, None],)


def without_sum(x, dy):
    return (2 * x * dy[0],)


def with_size(x, dy):
    return (2 * x * jnp.abs(dy[0]) + jnp.abs(dy[1])[:, None],)


@pytest.mark.parametrize(
    ("bwd", "told"),
    [
        (halved, "multiply by 2"),
        (without_sum, "output 1 ignored"),
        (with_size, "the true gradient of |dy|"),
    ],
    ids=["halved", "without sum", "with size"],
)
def test_a_rule_with_an_integer_output(bwd, told):
    report = check_vjp(of_squares(bwd), X)
    assert told in report.explain(), report.table()
    assert not any("raised" in text for text in report.not_tested)


def product(bwd):
    return ruled(lambda z, w: z * w, lambda z, w: (z * w, (z, w)), bwd, ())


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize(
    ("bwd", "kind", "told"),
    [
        (lambda r, dy: (dy * jnp.conj(r[1]), dy * r[0]), "conjugate", "conj"),
        (lambda r, dy: (2 * dy * r[1], dy * r[0]), "ratio", "gradient times 2"),
        (lambda r, dy: (-dy * r[1], dy * r[0]), "sign", "wrong sign"),
        (lambda r, dy: (dy * r[1], dy), "factor", "multiply by"),
    ],
    ids=["conjugate", "twice", "minus", "factor"],
)
def test_a_product_of_complex_numbers(bwd, kind, told):
    report = check_vjp(product(bwd), Z, W)
    assert report.hints[0].kind == kind, report.table()
    assert report.hints[0].verified
    assert told in report.explain()


def test_the_conjugate_of_a_whole_gradient():
    def bwd(z, dy):
        return (2 * dy * z,)

    op = ruled(lambda z: jnp.abs(z) ** 2, lambda z: (jnp.abs(z) ** 2, z), bwd, ())
    report = check_vjp(op, Z)
    assert report.hints[0].statement == say("conjugate", leaf="z")
    right = ruled(
        lambda z: jnp.abs(z) ** 2,
        lambda z: (jnp.abs(z) ** 2, z),
        lambda z, dy: (2 * dy * jnp.conj(z),),
        (),
    )
    assert check_vjp(right, Z).ok


def test_a_spectrum_that_is_not_conjugated():
    def spectra(g, X, w):
        dw = X * jnp.conj(g)
        ends = jnp.array([0, 2])  # which are real
        return g * w, dw.at[ends].set(dw[ends].real)

    report = check_vjp(*filter_case(spectra))
    change = report.hints[0].change
    assert (change["subject"], change["edit"]) == ("w", say("conjugate it"))
