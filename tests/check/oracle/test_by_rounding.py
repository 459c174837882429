"""What a last bit decides at inputs that nobody gave is no mistake of the rule."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.by_rounding import _watch, value_decided_by_rounding
from jaxninja.check.oracle.tolerances import Trial
from jaxninja.check.subject.plain_forward import evaluate
from jaxninja.check.subject.subject import Bound
from tests.check.subjects import ruled

X = np.array([0.6, 1.7, -0.4, 0.9], np.float32)


def weights(x):
    return jnp.linspace(0.7, 1.9, len(x), dtype=x.dtype)


def shifted(x, total, top):
    """The shift of x, by weights and at most to `top`, of which the sum is `total`."""
    w = weights(x)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        above = jnp.minimum(x + middle * w, top).sum() > total
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    ends = -10 + 0 * total, jnp.max((top - x) / w)
    low, high = jax.lax.fori_loop(0, 60, halve, ends)
    return (low + high) / 2


def plain(x, total, top):
    w, shift = weights(x), shifted(*jax.lax.stop_gradient((x, total)), top)
    free = x + shift * w < top * (1 - 1e-12)
    slope = jnp.where(free, w, 0).sum()
    missing = total - jnp.minimum(x + shift * w, top).sum()
    shift = shift + missing / jnp.where(slope > 0, slope, 1)
    return jnp.where(free, x + shift * w, top)


@pytest.mark.parametrize("slip", [0, 0.1])
def test_a_bound_that_cannot_be_met(slip):
    """Where the total is beyond all bounds, every entry is at its bound, or a last bit
    below."""

    def fwd(x, total, top):
        shift = shifted(x, total, top)
        return jnp.minimum(x + shift * weights(x), top), (x, shift)

    def bwd(top, kept, dy):
        x, shift = kept
        w = weights(x)
        free = (x + shift * w < top).astype(x.dtype)
        slope = (free * w).sum()
        share = (free * w * dy).sum() / jnp.where(slope > 0, slope, 1)
        return free * (dy - share + slip * dy), share

    op = ruled(plain, fwd, bwd, (2,))
    total = np.float32(1.9)
    report = check_vjp(op, X, total, 1.0, reference=plain, hints=False)
    assert report.ok == (slip == 0), report.table()


@pytest.mark.parametrize(
    "choose", [lambda a: a.argmin(-1), jnp.sort, lambda a: jax.lax.top_k(a, 2)]
)
def test_a_choice_among_numbers_that_are_nearly_equal(choose):
    """Ties of two are no chance, and a rounding between two others may be."""
    found: list = []
    a = np.float32([[0.5, 2, 2, 3], [1, 4, 1 + 2**-20, 9]])
    evaluate(jax.make_jaxpr(choose)(a), [a], _watch(found))
    least = [float(margin) for margin, _ in found]
    assert least == [pytest.approx(2**-20, rel=1e-3)]


def towards(a, b):
    """Where from the first axis a + b points to, on one side of it."""
    along = a + b
    cosine = along[0] / jnp.sqrt((along * along).sum())
    return jnp.where(cosine > 0, 1 + cosine, 1)


def length(a, b):
    return jnp.sqrt(((a + b) ** 2).sum())


HERE = np.array([0.3, -1.1, 0.7])


@pytest.mark.parametrize(
    ("plain", "b", "fwd", "gradient", "chance"),
    [
        (towards, -HERE, 1.7, 0.0, True),  # a + b is a rounding, or nothing
        (towards, -HERE, 1.0, np.nan, True),
        (towards, HERE, 1.7, 0.0, False),
        (towards, HERE, towards(HERE, HERE), np.nan, False),
        (length, -HERE, 0.0, np.nan, False),  # is 0 there, whatever is rounded
    ],
)
def test_a_rounding_decides_the_value_where_it_jumps(
    plain, b, fwd, gradient, chance, x64
):
    args, y = (HERE, b), np.asarray(plain(HERE, b))

    def trial(got, expected):
        got, expected = np.asarray(got), np.asarray(expected)
        return Trial("x", "equal entries", got, expected, 1e-9, "float64", "as given")

    subject = SimpleNamespace(plain=Bound(plain, (), ()), name="plain", is_numpy=False)
    evaluation = SimpleNamespace(
        args=args, forward=[trial(fwd, y)], trials=[trial(gradient, 0.0)]
    )
    setup = SimpleNamespace(subject=subject)
    assert value_decided_by_rounding(setup, evaluation) == chance


def direction(v):
    return v / jnp.sqrt((v * v).sum())


def highlight(normal, light, view):
    """How much of the light a mirror sends to the viewer, who may see its back."""
    glance = normal @ direction(direction(light) + direction(view))
    return jnp.where((normal @ light > 0) & (glance > 0), glance, 0) ** 3


def turned(v, du):
    u = direction(v)
    return (du - (u @ du) * u) / jnp.sqrt((v * v).sum())


def highlight_bwd(residuals, dy):
    normal, light, view = residuals
    middle = direction(light) + direction(view)
    glance = normal @ direction(middle)
    dglance = jnp.where((normal @ light > 0) & (glance > 0), 3 * dy * glance**2, 0)
    dmiddle = turned(middle, dglance * normal)  # not finite where the middle is 0
    return dglance * direction(middle), turned(light, dmiddle), turned(view, dmiddle)


@pytest.mark.parametrize("seed", [5, 8])  # of what used to fail
def test_what_vanishes_by_a_last_bit_alone_is_no_mistake(seed):
    rng = np.random.default_rng(seed)
    given = rng.normal(size=(3, 3)).astype(np.float32)
    rule = ruled(highlight, lambda *a: (highlight(*a), a), highlight_bwd, ())
    report = check_vjp(rule, *given, seed=seed, hints=False)
    assert report.ok, report.table()


def test_what_is_equal_vanishes_however_all_of_it_grows():
    def distance(a, b):
        square = ((a - b) ** 2).sum()
        apart = square > 0
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)

    def bwd(residuals, dy):
        d = residuals[0] - residuals[1]
        da = dy * d / jnp.sqrt((d * d).sum())
        return da, -da

    report = check_vjp(
        ruled(distance, lambda a, b: (distance(a, b), (a, b)), bwd, ()), X, X
    )
    assert not report.ok
