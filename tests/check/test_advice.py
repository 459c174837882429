"""What to do is said where a gradient is wrong only at inputs that the check chose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled


def ends(points):
    """[N, 3] -> [N]: the first coordinate and the last."""
    return points[:, 0] * points[:, -1]


def ends_bwd(points, g):
    """Of points with three coordinates."""
    dpoints = jnp.zeros_like(points).at[:, 0].set(g * points[:, -1])
    return (dpoints.at[:, 2].set(g * points[:, 0]),)


def cut(x, bound):
    return jnp.where(jnp.abs(x) <= bound, x * x / 2, bound * (jnp.abs(x) - bound / 2))


def cut_bwd(res, g):
    """For a bound that is no less than 0."""
    x, bound = res
    over = jnp.maximum(jnp.abs(x) - bound, 0)
    return g * jnp.clip(x, -bound, bound), (g * over).sum()


def rule(plain, bwd):
    def fwd(*args):
        return plain(*args), args if len(args) > 1 else args[0]

    return ruled(plain, fwd, bwd, ())


POINTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
X = 2 * POINTS.ravel()[:7], np.float32(0.8)
ENDS, CUT = rule(ends, ends_bwd), rule(cut, cut_bwd)


@pytest.mark.parametrize(
    ("op", "args", "name", "option"),
    [
        (
            ENDS,
            (POINTS,),
            "inputs=",
            {"inputs": lambda key: jax.random.normal(key, (5, 3))},
        ),
        (CUT, X, "edges=False", {"edges": False}),
    ],
)
def test_the_option_that_is_named_keeps_to_what_is_right(op, args, name, option):
    report = check_vjp(op, *args, hints=False)
    (note,) = [leaf.note for leaf in report.leaves if leaf.verdict == "fail"]
    assert note.endswith(name), note
    assert check_vjp(op, *args, hints=False, **option).ok


def test_what_is_wrong_as_it_is_given_has_no_such_excuse():
    op = rule(cut, lambda res, g: (cut_bwd(res, g)[0] / 2, cut_bwd(res, g)[1]))
    report = check_vjp(op, *X, hints=False)
    assert [leaf.note for leaf in report.leaves if leaf.verdict == "fail"] == [""]
