"""Tables of 64 bits that a rule closes over are right in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes, ruled

SIZE, HOP = 8, 4
PLACES = np.arange(0, 9, HOP)[:, None] + np.arange(SIZE)  # int64, a global


def spectra(slip=""):
    """Magnitudes of the spectra of frames that overlap."""
    window = np.hanning(SIZE + 1)[:-1]  # float64, of the closure
    tables = {"offset": np.full(SIZE, 0.25)}

    def frames(x):
        return x[PLACES] * window.astype(x.dtype) + tables["offset"]

    def plain(x):
        return (frames(x) ** 2).sum(-1)

    def bwd(x, dy):
        dx = 2 * frames(x) * dy[:, None]
        dx = dx if slip else dx * window.astype(x.dtype)
        return (jnp.zeros_like(x).at[PLACES].add(dx.astype(x.dtype)),)

    return ruled(plain, lambda x: (plain(x), x), bwd, ())


@pytest.mark.parametrize(("slip", "verdict"), [("", "ok"), ("no window", "fail")])
def test_a_rule_that_was_used_before(slip, verdict):
    rule, x = spectra(slip), np.random.default_rng(0).normal(size=16)
    before = PLACES, rule.fun.__closure__
    kept = jax.jit(jax.grad(lambda x: rule(x).sum()))
    kept(jnp.asarray(x, jnp.float32))  # lives, and with it what became of the tables
    report = check_vjp(rule, x.astype(np.float32), hints=False)
    assert report.verdict == verdict, report.table()
    assert not codes(report) & {"E-RAISE", "N-CAST"}
    assert before[0] is PLACES
    assert before[1] == rule.fun.__closure__
