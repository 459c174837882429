"""The gradient of another forward is named as such, and no other gradient is."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.forward.search import nearby
from jaxninja.check.evidence import Evidence
from jaxninja.check.hints import Words
from tests.check.diagnosis.evidence import Subject, evidence, sample


def normalised(outside):
    def f(x, gain):
        v = (x * x).mean(-1, keepdims=True)
        r = 1 / (jnp.sqrt(v) + 0.01) if outside else jax.lax.rsqrt(v + 0.01)
        return x * r * gain

    return f


def rotated(pairs):
    def f(x, angle):
        a, b = (x[..., ::2], x[..., 1::2]) if pairs else jnp.split(x, 2, -1)
        turned = jnp.stack([-b, a], -1).reshape(x.shape)
        turned = turned if pairs else jnp.concatenate([-b, a], -1)
        return x * jnp.cos(angle) + turned * jnp.sin(angle)

    return f


def attention(causal):
    def f(q, k, v):
        scores, T = q @ k.T / 1.7, len(q)
        kept = jnp.tril(jnp.ones((T, T), bool)) if causal else True
        return jax.nn.softmax(jnp.where(kept, scores, -1e30)) @ v

    return f


def recurrence(bias):
    def f(x, h):
        def step(c, t):
            c = jnp.tanh(0.5 * c + t.sum() + bias)
            return c, c

        return jax.lax.scan(step, h[0], x)[1]

    return f


def masked_mean(rows):
    def f(x, w):
        kept = w > 0
        total = jnp.where(kept, (x**3).sum(-1), 0.0).sum()
        return total / (len(w) if rows else kept.sum())

    return f


def focal(power):
    return lambda x: -(jax.nn.softmax(x) ** power * jax.nn.log_softmax(x)).sum()


def centred(axis):
    return lambda x: jnp.exp(x - x.mean(axis, keepdims=True))


def summed(reverse):
    def f(x):
        total = jnp.cumsum(jnp.sin(x), 0)
        return jnp.cumsum(jnp.sin(x)[::-1], 0)[::-1] if reverse else total

    return f


def held(constant):
    def f(x):
        norm = jnp.sqrt((x * x).sum(-1, keepdims=True) + 0.01)
        return x / (jax.lax.stop_gradient(norm) if constant else norm)

    return f


def logarithm(first):
    mean = jnp.mean if first else (lambda a, axis: jnp.log(jnp.mean(jnp.exp(a), axis)))
    return lambda x: mean(x, 0)


def joined(operator):
    return lambda x, w: jnp.tanh(operator(x, w))


TWINS = {  # the forward, the one whose gradient is handed out, the edit
    "epsilon": (normalised(0), normalised(1), ((4, 5), (5,)), "outside root"),
    "pairs": (rotated(0), rotated(1), ((5, 6), (5, 6)), "pairs for halves"),
    "halves": (rotated(1), rotated(0), ((5, 6), (5, 6)), "pairs for halves"),
    "no mask": (attention(1), attention(0), ((4, 3), (4, 3), (4, 2)), "instead"),
    "a mask": (attention(0), attention(1), ((4, 3), (4, 3), (4, 2)), "triangle"),
    "bias": (recurrence(1.0), recurrence(0.0), ((6, 3), (6,)), "leave out"),
    "rows": (masked_mean(0), masked_mean(1), ((6, 3), (6,)), "instead"),
    "power": (focal(2.0), focal(1.5), ((5, 3),), "instead"),
    "axis": (centred(-1), centred(0), ((4, 5),), "other axes"),
    "direction": (summed(0), summed(1), ((6, 3),), "other direction"),
    "constant": (held(0), held(1), ((6, 4),), "constant value"),
    "minus": (joined(jnp.multiply), joined(jnp.subtract), ((4,), (4,)), "instead"),
    "times": (joined(jnp.add), joined(jnp.multiply), ((4,), (4,)), "instead"),
    "order": (logarithm(0), logarithm(1), ((6, 3),), "other order"),
}


def found_in(plain, bwd, shapes, **more):
    given = evidence(plain, lambda *a: (plain(*a), a), bwd, shapes)
    given = Evidence(given.subject, given.samples, given.resample, **more)
    (problem,) = problems(given)
    fresh = problem.on(given.resample(77))
    with np.errstate(all="ignore"):
        return nearby(problem, fresh, Elsewhere(given, problem), Budget.of(20))


def gradient_of(forward):
    return lambda res, dy: jax.vjp(forward, *res)[1](dy)


@pytest.mark.parametrize("case", TWINS)
def test_the_gradient_of_a_nearby_forward_is_named(case, x64):
    plain, other, shapes, code = TWINS[case]
    found = found_in(plain, gradient_of(other), shapes)
    assert found, case
    assert found[0].edit.what.code == code, Words().text(found[0].edit.what)
    assert str(found[0].where).startswith("test_search.py:")


@pytest.mark.parametrize("case", ["epsilon", "axis", "bias"])
def test_no_other_gradient_is(case, x64):
    """The true gradient bent or turned is that of no edited forward."""
    plain, _, shapes, _ = TWINS[case]

    def bwd(res, dy):
        true = zip(jax.vjp(plain, *res)[1](dy), res, strict=True)
        return tuple(g * jnp.cos(g + 0.3) + jnp.sin(3 * x) for g, x in true)

    assert found_in(plain, bwd, shapes) == []
    assert found_in(plain, gradient_of(plain), shapes) == []


def averaged(count):
    return lambda x: jnp.exp(x).sum(0) / count(x)


@pytest.mark.parametrize(
    ("count", "right"), [(lambda x: x.shape[1], True), (lambda x: 3, False)]
)
def test_a_size_follows_the_sizes(count, right, x64):
    """x [4, 3] is divided by 3: by its columns, if it is by 5 where they are 5."""
    plain, other = averaged(len), averaged(count)
    subject = Subject(plain, lambda *a: (plain(*a), a), gradient_of(other))
    wide = subject, sample(subject, ((4, 5),), 5)
    found = found_in(plain, gradient_of(other), ((4, 3),), sizes=(wide,))
    (new,) = found[0].edit.what.numbers()[:1]
    assert (new.value, new.name) == (3, "x.shape[1]" if right else "3")


def test_what_holds_on_the_failing_samples_alone_is_not_said(x64):
    """sin(x) for x sin(x), but only where the sum of x is positive."""

    def plain(x):
        return x * jnp.sin(x)

    def bwd(res, dy):
        (x,) = res
        return (jnp.where(x.sum() > 0, jnp.cos(x), jnp.sin(x)) * dy,)

    subject = Subject(plain, lambda *a: (plain(*a), a), bwd)
    samples = [sample(subject, ((4, 3),), seed) for seed in range(1, 30)]
    one, two, three = [s for s in samples if s.args[0].sum() > 0][:3]
    behind = next(s for s in samples if s.args[0].sum() < 0)

    def found(*checked, **labels):
        checked = tuple(replace(c, **labels) for c in checked)
        given = Evidence(subject, (one,), lambda _: two, checked=lambda: checked)
        (problem,) = problems(given)
        with np.errstate(all="ignore"):
            return nearby(
                problem, problem.on(two), Elsewhere(given, problem), Budget.of(20)
            )

    assert found(three)
    assert found(behind) == []
    assert found(behind, label="x / 100", edge=True)[0].edges == ("x / 100",)
