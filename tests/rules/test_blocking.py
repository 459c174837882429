"""What depends on the platform is chosen for the device in force, in one place."""

import jax
import jax.numpy as jnp
import pytest

from jaxninja.rules import blocking
from jaxninja.rules.sequence.linear_recurrence import linear_recurrence


@pytest.mark.parametrize("first", ["cpu", "gpu"])
def test_a_device_that_was_chosen_goes_before_jaxs_first(first, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: first)
    assert blocking.platform() == first
    for chosen in ("cpu", "gpu"):
        with jax.default_device(chosen):
            assert blocking.in_parallel() == (chosen == "gpu")
    with jax.default_device(jax.devices("cpu")[0]):
        assert not blocking.in_parallel()
    assert blocking.in_parallel() == (first == "gpu")


def test_a_program_is_traced_for_each_device_anew():
    """Steps one after the other on a CPU, joined in pairs where they are computed
    together: nothing that was traced for one device serves the other."""
    a, h0 = jnp.ones((9, 3)), jnp.ones(3)
    made = jax.jit(lambda a, h0: linear_recurrence(a, a, h0))
    for chosen, steps in (("cpu", True), ("gpu", False), ("cpu", True)):
        with jax.default_device(chosen):
            jaxpr = str(jax.make_jaxpr(made)(a, h0))
        assert ("scan[" in jaxpr) == steps, chosen
