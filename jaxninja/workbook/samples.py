"""What a gradient is checked on: several sizes and seeds, true gradients by autodiff.

Sizes and data are picked to be awkward: a batch of 2, contexts that repeat symbols, a
row whose maximum is attained twice beside rows that have theirs elsewhere, sizes that
no hard-coded number fits. And beside the gradients of the network's output there are
*probes*: a random gradient R is put in at one array,

    f = <R, array>,

and everything upstream of the array is checked with that. For a loss's own gradients
hide mistakes: the rows of dlogits sum to zero, so do the columns of dhprebn, and a
branch that should be there is missed by nobody. R is zero in one line along each axis:
who divides by a gradient has 0 / 0 there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

import jax
import numpy as np

from jaxninja.intermediates.gradients import retain_grads
from jaxninja.workbook.code.tracing import Traced, traced
from jaxninja.workbook.network import Arrays, Network, Sizes
from jaxninja.workbook.texts.languages import sentence


@dataclass(frozen=True, eq=False)
class Sample:
    """Values and true gradients at one point; made once, so it equals itself only.

    Attributes:
        network, sizes, dtype: of the arrays.
        probe: where the upstream gradient is put in: an array's name; that of the
            network's output for the gradients of the exercise itself.
        values: data, numbers, parameters and all steps, by name.
        truth: the gradient of every array upstream of the probe, and the probe's own.
        gradients: of every array, zero where the probe does not depend on it.
        ties: other gradients that are right too, where a maximum is attained twice.
    """

    network: Network
    sizes: Sizes
    dtype: str
    probe: str
    values: Arrays
    truth: Arrays
    gradients: Arrays
    ties: Mapping[str, tuple]

    @property
    def is_probed(self) -> bool:
        """Whether its upstream gradient is put in amid the network."""
        return self.probe != self.network.output

    @property
    def is_home(self) -> bool:
        """Whether it has the sizes that the exercise is about."""
        return self.sizes == self.network.home

    @property
    def place(self) -> str:
        """Its sizes, and where its upstream gradient comes from if not from the end"""
        if not self.is_probed:
            return str(self.sizes)
        return sentence("random", sizes=self.sizes, probe=self.probe)

    def scale(self, name: str) -> float:
        """The magnitude that rounding of this gradient is measured by.

        Usually its own largest entry. Of one that is zero in theory all that is left is
        the rounding of a sum that cancels, and its terms give the scale.
        """
        terms = self.network.zero.get(name, name)
        arrays = [self.truth[k] for k in {name, terms} if k in self.truth]
        return max(float(np.abs(a).max()) for a in arrays) or 1.0


def home(network: Network) -> Sample:
    """The sample that an exercise is about, in float32."""
    return sample(network, network.home, "float32")


@cache
def sample(
    network: Network, at: Sizes, dtype: str = "float64", probe: str = ""
) -> Sample:
    """One sample, made once. Call it under `jax.enable_x64(True)` for float64."""
    probe = probe or network.output
    params, data = _given(network, at, dtype)
    upstream = _upstream(network, _zeros(network, at, dtype), probe, at.seed)
    found = _backward(network, at, dtype)(params, upstream, data)
    data, grads, arrays = jax.device_put((data, *found))
    values = {**data, **network.counts(at), **arrays}
    truth = {k: grads[k] for k in network.before(probe)}
    ties = network.ties(values, truth)
    return Sample(network, at, dtype, probe, values, truth, grads, ties)


@cache
def _given(network: Network, at: Sizes, dtype: str) -> tuple[Arrays, Arrays]:
    """What has a gradient, and data, which has none."""
    numbers = network.inputs(at)
    params = {k: np.asarray(numbers[k], dtype) for k in network.parameters}
    return params, {k: _as_data(numbers[k]) for k in network.data}


def _as_data(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, "bool" if array.dtype == bool else "int32")


def _forward(network: Network, at: Sizes, params: Arrays, data: Arrays):
    return network.forward({**params, **data}, at)


@cache
def _zeros(network: Network, at: Sizes, dtype: str) -> Arrays:
    """Zeros in the place of every array."""
    forward = partial(_forward, network, at)
    shapes = jax.eval_shape(forward, *_given(network, at, dtype))
    return {name: np.zeros(s.shape, s.dtype) for name, s in shapes.items()}


@cache
def _backward(network: Network, at: Sizes, dtype: str) -> Traced:
    """The gradient of sum <upstream, array> by every array, and the arrays.

    JAX differentiates, NumPy runs: XLA would take seconds to compile it.
    """

    def gradients(params, upstream, data):
        f = retain_grads(
            partial(_forward, network, at), cotangent=upstream, values=True
        )
        _, grads, arrays = f(params, data)
        return grads, arrays

    params, data = _given(network, at, dtype)
    return traced(gradients, params, _zeros(network, at, dtype), data)


def _upstream(
    network: Network, zeros: Arrays, probe: str, seed: int
) -> dict[str, np.ndarray]:
    """The gradient that comes from outside: at the probe, zero at all other arrays."""
    like = zeros[probe]
    letters = [not a.isdigit() for a in network.node[probe].shape.split()]
    random = np.asarray(_random(like.shape, seed, letters), like.dtype)
    return {**zeros, probe: random if like.shape else np.ones_like(like)}


def _random(shape: tuple[int, ...], seed: int, letters: list[bool]) -> np.ndarray:
    """Random numbers, but zeros in one line along each axis whose size is a letter's.

    On an axis of fixed length each place has a part of its own.
    """
    found = np.random.default_rng([seed, 7]).standard_normal(shape) + 0.1
    for axis, (size, letter) in enumerate(zip(shape, letters, strict=True)):
        if letter and size > 2:
            np.moveaxis(found, axis, 0)[1] = 0.0
    return found
