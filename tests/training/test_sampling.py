"""Sampling: seeded, bounded, and with the options doing what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import gpt2, ninja
from jaxninja.models.ninja import Ninja
from jaxninja.training.sampling.choice import (
    Choice,
    SampleError,
    check_seed,
    chosen,
    in_parts,
)
from jaxninja.training.sampling.items import sample
from jaxninja.training.sampling.texts import write

MODEL = Ninja(vocabulary=9, hidden=13)
STATS = {"mean": jnp.zeros(13), "var": jnp.ones(13)}


def draw(key=0, **options):
    params = ninja.init(jax.random.key(0), MODEL)
    ways = {name: options.pop(name) for name in Choice._fields if name in options}
    return sample(
        jax.random.key(key), params, STATS, MODEL, how=Choice(**ways), **options
    )


@pytest.fixture
def logits():
    """Of an item's first symbol, [1, 9]."""
    params = ninja.init(jax.random.key(0), MODEL)
    return ninja.apply(params, STATS, jnp.zeros((1, 3), jnp.int32), MODEL)


def test_the_same_key_gives_the_same_items():
    assert draw(3) == draw(3) != draw(4)


def test_items_have_no_boundary_and_end():
    items = draw(count=200, limit=30)
    assert len(items) == 200
    assert all(0 < i < 9 for item in items for i in item)
    assert max(map(len, items)) <= 30
    assert min(map(len, items)) < 30


def test_the_prompt_begins_every_item_and_conditions_it():
    assert all(item[:4] == [1, 2, 3, 4] for item in draw(prompt=(1, 2, 3, 4)))
    # only the last 3 symbols are seen: another first one changes nothing after it
    one, two = draw(prompt=(1, 2, 3, 4)), draw(prompt=(8, 2, 3, 4))
    assert [i[1:] for i in one] == [i[1:] for i in two]


def test_temperature_zero_takes_the_likeliest(logits):
    items = draw(count=5, temperature=0)
    assert all(item == items[0] for item in items)
    first = int(logits.argmax())
    assert items[0][:1] == ([first] if first else [])
    assert items == draw(7, count=5, top_k=1)


def test_top_k_draws_among_the_k_likeliest(logits):
    allowed = set(np.argsort(-logits[0])[:2].tolist())
    first = {(item or [0])[0] for item in draw(count=300, top_k=2)}
    assert first == allowed
    assert len({(item or [0])[0] for item in draw(count=300)}) > 2


def test_top_p_draws_among_the_fewest_that_have_this_probability(logits):
    """Just below the sum of the two likeliest both are in, just above it three."""
    scores = 3.0 * logits  # so that none is rare
    order = np.argsort(-scores[0])
    two = float(np.sort(jax.nn.softmax(scores[0]))[-2:].sum())
    for top_p, count in ((two - 1e-3, 2), (two + 1e-3, 3), (1e-6, 1), (1e-300, 1)):
        static = Choice(top_p=top_p).static
        rows = jnp.tile(scores, (500, 1))
        drawn = chosen(jax.random.key(1), rows, 1.0, static)
        assert set(drawn.tolist()) == set(order[:count].tolist())


def test_frequencies_are_the_softmax_of_the_logits(logits):
    first = [(item or [0])[0] for item in draw(count=20_000, temperature=2.0, limit=2)]
    seen = np.bincount(first, minlength=9) / 20_000
    np.testing.assert_allclose(seen, jax.nn.softmax(logits[0] / 2), atol=0.015)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"count": 0}, "count is 0, expected 1 or more"),
        ({"temperature": -0.1}, "temperature is -0.1, expected from 0 to 1e30"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 1e39}, "temperature is 1e[+]39, expected from 0 to 1e30"),
        ({"top_k": 0}, r"top_k is 0, expected in 1..9"),
        ({"top_k": 10}, r"top_k is 10, expected in 1..9"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1, expected above 0"),
        ({"prompt": (0,)}, r"prompt is \(0,\), expected ids in 1..8"),
        ({"prompt": (1, 2), "limit": 2}, "limit is 2, .* 2"),
    ],
)
def test_bad_requests_are_refused(options, text):
    with pytest.raises(SampleError, match=text):
        draw(**options)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_logits_that_are_not_finite_are_refused(value):
    params = ninja.init(jax.random.key(0), MODEL)
    params["b2"] = params["b2"].at[3].set(value)
    with pytest.raises(SampleError, match="logits are not finite"):
        sample(jax.random.key(0), params, STATS, MODEL, count=2, limit=3)


def test_of_a_prompt_longer_than_the_context_the_last_is_read():
    sizes = {"vocabulary": 11, "context": 6, "layers": 1, "embedding": 8}
    model = gpt2.named("gpt2-tiny", **sizes, multiple=4)
    random = np.random.default_rng(0)
    params = {
        name: jnp.array(mean + random.normal(size=shape), jnp.float32)
        for name, (shape, _, mean) in gpt2.table(model).items()
    }

    def after(*prompt):
        key = jax.random.key(0)
        [text] = write(key, params, model, how=Choice(0), prompt=prompt, length=8)
        return text[len(prompt) :]

    last = 1, 2, 3, 4, 5, 6
    assert after(7, 8, *last) == after(9, 0, *last) == after(*last)
    assert after(7, 8, *last) != after(7, 8, *last[:4], 9, 10)


@pytest.mark.parametrize("seed", [2**31, 2**32, -(2**31) - 1, 2**70])
def test_a_seed_of_more_than_32_bits_is_refused(seed):
    with pytest.raises(SampleError, match=f"seed is {seed}, expected"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (4, [4]), (5, [4, 1]), (12, [4, 4, 4])]
)
def test_many_are_drawn_in_parts(count, sizes):
    assert in_parts(count, 4) == sizes


@pytest.mark.parametrize("count", [0, 10**9])
def test_a_count_that_is_none_or_never_ends_is_refused(count):
    with pytest.raises(SampleError, match=r"expected 1 or more, at most 1,000,000"):
        in_parts(count, 4)
