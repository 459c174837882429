"""Right rules at inputs where the reference itself, or its gradient, is no measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp, ndtri

from jaxninja import check_vjp
from tests.check.subjects import ruled


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [np.float32(rng.normal(size=shape)) for shape in shapes]


def held(plain, bwd, args, seed=0):
    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    return check_vjp(op, *args, seed=seed, hints=False)


@pytest.mark.parametrize(("slip", "seed"), [(0, 0), (0, 1), (1, 0)])
def test_a_quantile_of_a_probability_that_rounds_to_1(slip, seed):
    """Far away it is infinite; nearer the rule inherits what its value is off by."""

    def plain(z):
        return ndtri(jax.nn.sigmoid(z))

    def bwd(res, g):
        z, y = res
        log = jax.nn.log_sigmoid(z) + (1 + slip) * jax.nn.log_sigmoid(-z)
        return (g * jnp.exp(log + 0.5 * y * y) * np.sqrt(2 * np.pi),)

    op = ruled(plain, lambda z: ((y := plain(z)), (z, y)), bwd, ())
    report = check_vjp(op, *normal(seed, 6), seed=seed, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_what_is_added_to_a_number_beyond_its_digits(slip):
    """Probabilities from saved scores: at 1e292 a log(4) is lost, and they sum to 4."""

    def plain(mu, w):
        return logsumexp(w - jnp.exp(mu)[:, None], -1)

    def bwd(args, g):
        mu, w = args
        scores = w - jnp.exp(mu)[:, None]
        d = g[:, None] * jnp.exp(scores - plain(mu, w)[:, None])
        return -d.sum(1) * jnp.exp(mu), d.sum(0) * (1 + slip * (w > 1))

    report = held(plain, bwd, normal(0, 5, 4))
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_more_equations_than_unknowns_at_sizes_that_were_guessed(slip):
    """The nearest point that solves a y = b, by a factor that ends at a rounding."""

    def plain(x, a, b):
        return x - a.T @ jnp.linalg.solve(a @ a.T, a @ x - b)

    def solved(a, b):
        factor = jnp.linalg.cholesky(a @ a.T)
        return jax.scipy.linalg.cho_solve((factor, True), b)

    def fwd(x, a, b):
        nu = solved(a, a @ x - b)
        return (y := x - a.T @ nu), (a, nu, y)

    def bwd(res, g):
        a, nu, y = res
        w = solved(a, a @ g)
        p = g - a.T @ w
        return p, -jnp.outer(nu, p) - (1 - slip) * jnp.outer(w, y), w

    args = normal(2, 5, (2, 5), 2)
    report = check_vjp(ruled(plain, fwd, bwd, ()), *args, seed=2, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_ranks_break_ties_by_the_index(slip):
    def plain(x):
        return jnp.abs(x[:, None] - x).sum() / 2

    def bwd(args, g):
        (x,) = args
        rank = jnp.argsort(jnp.argsort(x))
        return (g * (2 * rank - (len(x) - 1) + slip).astype(x.dtype),)

    assert held(plain, bwd, normal(0, 40)).ok == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_jaxs_derivative_of_a_ratio_overflows(slip):
    def plain(x):
        e = jnp.expm1(x)
        return 2 * e / (e + 2.5)

    def bwd(args, g):
        (x,) = args
        q = 1 / (jnp.expm1(x) + 2.5)
        return (g * (5 + slip) * (jnp.exp(x) * q) * q,)

    x = np.float32([36.5, 410.0, 2.0, 80.0])
    assert held(plain, bwd, (x,)).ok == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_a_row_that_no_index_asks_for_is_not_infinite(slip):
    """All rows of a table are normalised at once, asked for or not."""

    def plain(table, ids):
        rows = table[ids]
        n = jnp.sqrt((rows * rows).sum(-1, keepdims=True))
        return rows * jnp.where(n > 1, 1 / jnp.where(n > 1, n, 1), 1)

    def bwd(args, g):
        table, ids = args
        rows = jnp.zeros_like(table).at[ids].add(g)
        n = jnp.sqrt((table * table).sum(-1, keepdims=True))
        u = table / (n := jnp.where(n > 1, n, 1))
        along = (1 - slip) * (u * rows).sum(-1, keepdims=True)
        return jnp.where(n > 1, (rows - u * along) / n, rows), None

    (table,) = normal(0, (5, 3))
    ids = np.array([0, 2, 2, 4], np.int32)
    assert held(plain, bwd, (table, ids)).ok == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_the_difference_of_two_gradients_that_are_equal(slip):
    """The gradient of a gate as q dq - k dk: at a single step nothing but rounding."""

    def plain(q, k, gate):
        def step(state, now):
            q, k, l = now
            state = jnp.exp(l) * state + k
            return state, q @ state

        return jax.lax.scan(step, jnp.zeros(q.shape[1], q.dtype), (q, k, gate))[1]

    def bwd(args, g):
        q, k, gate = args
        t = jnp.arange(len(q))
        c = jnp.cumsum(gate.at[0].set(0), 0)
        past = (t[:, None] >= t)[..., None]
        decay = jnp.exp(jnp.where(past, c[:, None] - c, -jnp.inf))
        dq = g[:, None] * jnp.einsum("sd,tsd->td", k, decay)
        dk = jnp.einsum("t,td,tsd->sd", g, q, decay)
        dc = q * dq - (1 + slip) * k * dk
        return dq, dk, jnp.flip(jnp.cumsum(jnp.flip(dc, 0), 0), 0)

    q, k, gate = normal(0, (5, 3), (5, 3), (5, 3))
    assert held(plain, bwd, (q, k, -np.abs(gate))).ok == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_jaxs_gradient_of_a_minimum_that_equals_none_of_its_numbers(slip):
    """Compiled, `f + c d` is rounded once where it is compared and twice where not."""

    def sums(f, c):
        i = jnp.arange(len(f))
        d = (i[:, None] - i).astype(f.dtype) ** 2
        return f + c * d, d

    def plain(f, c):
        return jnp.min(sums(f, c)[0], 1)

    def bwd(args, g):
        s, d = sums(*args)
        k = jnp.argmin(s, 1)
        df = jnp.zeros_like(args[0]).at[k].add(g * (1 + slip * (k == 3)))
        return df, (g * jnp.take_along_axis(d, k[:, None], 1)[:, 0]).sum()

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    f = 5 * normal(3, 20)[0]
    dtypes = ("bfloat16",)
    report = check_vjp(op, f, np.float32(0.4), seed=3, dtypes=dtypes, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_numbers_next_to_the_end_of_the_range(slip):
    """A shape over a rate of 1e-37 overflows, or is summed first and nearly does."""

    def plain(raw_shape, raw_rate):
        a, b = jax.nn.softplus(raw_shape), jax.nn.softplus(raw_rate)
        return a * jnp.log(b) - b

    def bwd(args, g):
        raw_shape, raw_rate = args
        a, b = jax.nn.softplus(raw_shape), jax.nn.softplus(raw_rate)
        da = g * jnp.log(b) * jax.nn.sigmoid(raw_shape)
        sigmoid = jax.nn.sigmoid(raw_rate)
        return da, (g * (a / b - 1 + slip)).sum() * sigmoid

    found = [held(plain, bwd, normal(seed, 6, ()), seed).ok for seed in range(4)]
    assert all(found) == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_an_overflow_of_the_rules_own_is_found(slip):
    """The reference stays within the range, and 0 times infinite is none of its."""

    def bounded(x):
        return jnp.minimum(x, 20)

    def plain(x):
        return jnp.where(x > 20, x, jnp.tanh(x * jnp.exp(bounded(x))))

    def bwd(args, g):
        (x,) = args
        z = x if slip else bounded(x)
        slope = (1 - jnp.tanh(z * jnp.exp(z)) ** 2) * (1 + z) * jnp.exp(z)
        if slip:
            return (g * ((x > 20) + (x <= 20) * slope * jnp.exp(z) / jnp.exp(z)),)
        return (g * jnp.where(x > 20, 1, slope),)

    assert held(plain, bwd, normal(0, 6)).ok == (not slip)


@pytest.mark.parametrize("slip", [0, 1])
def test_a_forward_that_overflows_within_and_comes_back_finite(slip):
    """(x^2)^n is infinite at 674, the mean by powers then 0; by logs it is right."""

    def plain(x, n):
        return (1 + x**n) ** (-1 / n)

    def fwd(x, n):
        power = n * jnp.log(x)
        return jnp.exp(-jax.nn.softplus(power) / n), (x, n, power)

    def bwd(res, g):
        x, n, power = res
        y, s = jnp.exp(-jax.nn.softplus(power) / n), jax.nn.sigmoid(power)
        down = jnp.where(s > 0, s * jnp.where(s > 0, power, 0.0), 0.0)
        at = jnp.where(x == 0, 1.0, x)
        dn = (jax.nn.softplus(power) - (1 + slip) * down) / n**2
        return jnp.where(x == 0, 0.0, -g * y * s / at), jnp.sum(g * y * dn)

    x = np.float32(np.random.default_rng(0).uniform(0.2, 5, 7))
    report = check_vjp(ruled(plain, fwd, bwd, ()), x, np.float32(1.6), hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_a_value_that_stands_alone_among_its_neighbours(slip):
    """The power mean at p = 0: by IEEE 1^inf = 1, and around it the geometric mean."""

    def plain(x, p):
        return jnp.mean(x**p) ** (1 / p)

    def fwd(x, p):
        powers = p * jnp.log(x)
        y = jnp.exp((jax.nn.logsumexp(powers) - np.log(len(x))) / p)
        return y, (x, p, powers, y)

    def bwd(res, g):
        x, p, powers, y = res
        part, mean = jax.nn.softmax(powers), jnp.log(y) * p
        flow = jnp.where(part > 0, part * jnp.where(part > 0, powers, 0), 0).sum()
        at = jnp.where(x == 0, 1.0, x)
        return g * y * part / at, (1 + slip) * g * y * (flow - mean) / p**2

    x = np.float32(np.random.default_rng(1).uniform(0.2, 3, 6))
    report = check_vjp(ruled(plain, fwd, bwd, ()), x, np.float32(4), hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_one_rounding_of_a_half_is_much_of_a_small_value(slip):
    """min(x, 1 - x) as 1/2 - |x - 1/2|: at 1e-15 these differ as 1/2 is rounded."""

    def plain(x, mu):
        return mu * jnp.minimum(x, 1 - x)

    def fwd(x, mu):
        return mu * (0.5 - jnp.abs(x - 0.5)), (x, mu)

    def bwd(res, g):
        x, mu = res
        dmu = jnp.sum(g * (0.5 - (1 - slip / 4) * jnp.abs(x - 0.5)))
        return g * mu * jnp.sign(0.5 - x), dmu

    x = np.float32(np.random.default_rng(0).uniform(size=7))
    op = ruled(plain, fwd, bwd, ())
    report = check_vjp(op, x * np.float32(1e-3), np.float32(1.7), hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_logaddexp_looks_for_nan_and_nobody_asked(slip):
    def plain(a, b):
        both = jnp.logaddexp(a, b)
        return jnp.where(jnp.isfinite(both), both, 0).sum()

    def fwd(a, b):
        top = jnp.maximum(a, b)
        some = top > -jnp.inf
        top = jnp.where(some, top, 0)
        total = jnp.exp(a - top) + jnp.exp(b - top)
        both = jnp.where(some, top + jnp.log(jnp.where(some, total, 1)), 0)
        return both.sum(), (a, b, both)

    def bwd(res, g):
        a, b, both = res
        return g * jnp.exp(a - both), (1 + slip) * g * jnp.exp(b - both)

    args = normal(0, (4, 3), (4, 3))
    report = check_vjp(ruled(plain, fwd, bwd, ()), *args, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
@pytest.mark.parametrize("seed", [1, 3])
def test_a_gradient_that_comes_to_its_limit_as_a_root_does(slip, seed):
    """At y = 0 autodiff has none of x, and the mean of neighbours is a rough one."""

    def mixed(x, y, z):
        return jnp.sqrt(x * y) + jnp.sqrt(y * z) + jnp.sqrt(z * x)

    def plain(x, y, z):
        m = mixed(x, y, z)
        return ((x + m) * (y + m) * (z + m)) ** (-1 / 6)

    def bwd(res, g):
        a, b, c = map(jnp.sqrt, res)
        p, q, r = a + b, b + c, c + a
        k = -g * (p * q * r) ** (-1 / 3) / 6
        dx, dz = k * (1 / p + 1 / r) / a, k * (1 / q + 1 / r) / c
        return (1 + slip) * dx, k * (1 / p + 1 / q) / b, dz

    rng = np.random.default_rng(seed)
    args = [np.float32(rng.uniform(0.1, 3, 6)) for _ in range(3)]
    report = held(plain, bwd, args, seed)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_the_order_of_probabilities_that_are_0_is_lost(slip):
    """The two largest by their scores, or by a softmax that is 0 for all but one."""

    def balance(z, of):
        p = jax.nn.softmax(z)
        chosen = jax.nn.one_hot(
            jax.lax.top_k(of(z, p), 2)[1], z.shape[1], dtype=p.dtype
        )
        share = chosen.sum(1).mean(0)
        return (share * p.mean(0)).sum(), p, share

    def plain(x, w):
        return balance(x @ w, lambda z, p: p)[0]

    def fwd(x, w):
        y, p, share = balance(x @ w, lambda z, p: -z if slip else z)
        return y, (x, w, p, share)

    def bwd(res, g):
        x, w, p, share = res
        d = g / len(p) * share
        dz = p * (d - (p * d).sum(-1, keepdims=True))
        return dz @ w.T, x.T @ dz

    report = check_vjp(
        ruled(plain, fwd, bwd, ()), *normal(0, (5, 3), (3, 4)), hints=False
    )
    assert report.ok == (not slip), report.table()
