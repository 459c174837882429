"""The kernel's text, run by a CPU: the numbers of route `network`, in any order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.data.datasets import load_dataset
from jaxninja.models import ninja
from jaxninja.models.ninja import Ninja
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.kernel import call
from jaxninja.training.kernel.call import Constants, Proof
from tests.runs import same_bits

pytestmark = [pytest.mark.bits, pytest.mark.usefixtures("twin")]
MODEL = Ninja()
BARRIERS = 12  # a step


def batches(seed, count):
    """A state that is not the one at step 0, and so many batches of random symbols."""
    keys = jax.random.split(jax.random.key(seed), 5)
    params = ninja.init(keys[0], MODEL)
    mean, var = jax.random.uniform(keys[1], (2, MODEL.hidden))
    ids = jax.random.randint(keys[2], (count, 32, 3), 0, 27)
    labels = jax.random.randint(keys[3], (count, 32), 0, 27)
    rates = 0.1 + jax.random.uniform(keys[4], (count,))
    return params, {"mean": mean, "var": var}, ids, labels, rates


def proved(given, count, how):
    """What each of `how` = (blocks, proof) computes, in one compiled program."""

    @jax.jit
    def run(*given):
        step = jnp.int32(count)
        return [call.train(*given, step, Constants(), *each) for each in how]

    return run(*given)


OTHER = {"ddof": 0, "running_ddof": 1, "eps": 1e-2, "bn_momentum": 0.3}


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        pytest.param({}, 200, id="lecture"),
        pytest.param(OTHER, 20, id="other", marks=pytest.mark.more),
    ],
)
def test_the_kernel_is_route_network_to_rounding(fields, count):
    """Losses of 200 steps to 3e-6, the state at their end to 2e-6 of its scale."""
    data = load_dataset("names").train
    x, y = map(jnp.asarray, data)
    ends = {}
    for engine in ("xla", "kernel"):
        config = TrainConfig(engine=engine, lr_drop_at=count // 2, **fields)
        model = config.network(27)
        state = steps.init_state(config, model)
        advance = steps.program(config, model, steps.Items(x, y))
        ends[engine] = advance(state, steps.Items(x, y), 0, count)
    (state, losses), (expected, their_losses) = ends["kernel"], ends["xla"]
    assert losses.shape == their_losses.shape
    np.testing.assert_allclose(losses[:count], their_losses[:count], atol=3e-6)
    assert not losses[count:].any()
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for ours, theirs in zip(*map(jax.tree.leaves, (state, expected)), strict=True):
        scale = float(abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * scale)


@pytest.mark.more  # of the kernel's own text, as what follows
def test_no_order_of_the_threads_and_no_number_of_blocks_changes_a_bit():
    orders = [(blocks, Proof(order)) for blocks in (1, 8) for order in range(4)]
    first, *others = proved(batches(0, 3), 3, orders)
    assert np.isfinite(first[2]).all()
    assert [same_bits(first, other) for other in others] == [True] * len(others)


@pytest.mark.more
def test_each_barrier_is_needed():
    """With any of them taken out the numbers are others, whichever thread is first."""
    of_unit = {1, 2, 7}  # one block has one thread for each unit: it waits for none
    orders = (0, 1, 2)
    places = [(1, i) for i in range(BARRIERS) if i not in of_unit]
    places += [(8, i) for i in range(BARRIERS)]
    how = [(blocks, Proof(o, i)) for blocks, i in places for o in orders]
    right, *wrong = proved(batches(0, 3), 3, [(1, Proof()), *how])
    unseen = [h for h, end in zip(how, wrong, strict=True) if same_bits(right, end)]
    assert unseen == []


def test_many_networks_at_once_are_each_alone():
    """Each with its own batches and learning rates, and as many steps as it takes."""
    given = [batches(seed, 4) for seed in range(3)]
    counts = jnp.array([4, 0, 3], jnp.int32)
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *given)
    many = jax.jit(jax.vmap(call.train))(*stacked, counts)
    train = jax.jit(call.train)
    for i, own in enumerate(given):
        alone = train(*own, counts[i])
        assert same_bits(alone, jax.tree.map(lambda a, i=i: a[i], many))
        assert (alone[2] > 0).sum() == counts[i]
    assert same_bits(train(*given[1], counts[1])[:2], given[1][:2])
