"""What a gradient is checked on: several sizes and seeds, true gradients by autodiff.

Sizes and data are picked to be awkward: a batch of 2, contexts that repeat symbols, a
row whose maximum is attained twice beside rows that have theirs elsewhere, sizes that
no hard-coded number fits. And beside the loss's own gradients there are *probes*: a
random gradient R is put in at one array,

    f = <R, array>,

and everything upstream of the array is checked with that. For the loss's own gradients
hide mistakes: the rows of dlogits sum to zero, so do the columns of dhprebn, and a
branch that should be there is missed by nobody. R is zero in one line along each axis:
who divides by a gradient has 0 / 0 there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.intermediates.gradients import retain_grads
from jaxninja.models.atomic import forward
from jaxninja.workbook.graph import before

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Sizes:
    """n batch, T context, E embedding, H hidden, V vocabulary."""

    n: int
    T: int
    E: int
    H: int
    V: int
    seed: int
    tied: bool = False

    def __str__(self) -> str:
        return f"n={self.n}, T={self.T}, E={self.E}, H={self.H}, V={self.V}"


LECTURE = Sizes(32, 3, 10, 64, 27, seed=0)
PAIR = Sizes(2, 3, 4, 5, 7, seed=1)
TIED = Sizes(5, 2, 3, 7, 6, seed=39, tied=True)
FRESH = Sizes(6, 4, 2, 3, 5, seed=3)


@dataclass(frozen=True, eq=False)
class Sample:
    """Values and true gradients at one point; made once, so it equals itself only.

    Attributes:
        sizes, dtype: of the arrays.
        probe: where the upstream gradient is put in: "loss", or an array's name.
        values: Xb, Yb, n, the parameters and all steps, by name.
        truth: the gradient of every array upstream of the probe, and the probe's own.
        gradients: of every array, zero where the probe does not depend on it.
        ties: other gradients that are right too, where a maximum is attained twice.
    """

    sizes: Sizes
    dtype: str
    probe: str
    values: Arrays
    truth: Arrays
    gradients: Arrays
    ties: Mapping[str, tuple]

    @property
    def place(self) -> str:
        """Its sizes, and where its upstream gradient comes from if not from the loss"""
        random = "" if self.probe == "loss" else f", d{self.probe} random"
        return f"{self.sizes}{random}"

    def scale(self, name: str) -> float:
        """The magnitude that rounding of this gradient is measured by.

        Usually its own largest entry. Two gradients are zero in theory, those of b1 and
        of logit_maxes; what is left of them is the rounding of a sum that cancels, and
        its terms give the scale.
        """
        terms = {"b1": "hprebn", "logit_maxes": "norm_logits"}.get(name, name)
        arrays = [self.truth[k] for k in {name, terms} if k in self.truth]
        return max(float(np.abs(a).max()) for a in arrays) or 1.0


def inputs(sizes: Sizes) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Parameters in float64, contexts and labels. As in the lecture, nothing is zero.

    Contexts hold at least two symbols twice. With `tied` two columns of W2 and b2 are
    equal, so that logits attains its maximum twice in some rows, and W2 is so large
    that others have theirs in other columns.
    """
    n, T, E, H, V = sizes.n, sizes.T, sizes.E, sizes.H, sizes.V
    rng = np.random.default_rng(sizes.seed)
    normal = rng.standard_normal
    params = {
        "C": normal((V, E)),
        "W1": normal((T * E, H)) * (5 / 3) / (T * E) ** 0.5,
        "b1": normal(H) * 0.1,
        "W2": normal((H, V)) * 0.1,
        "b2": normal(V) * 0.1,
        "bngain": normal(H) * 0.1 + 1.0,
        "bnbias": normal(H) * 0.1,
    }
    if sizes.tied:
        params["W2"] *= 6
        params["W2"][:, 1] = params["W2"][:, 4]
        params["b2"][[1, 4]] = 0.3
    Xb = rng.integers(0, V, (n, T))
    Xb[0] = Xb[-1, 0]
    return params, Xb, rng.integers(0, V, n)


@cache
def sample(sizes: Sizes, dtype: str = "float64", probe: str = "loss") -> Sample:
    """One sample, made once. Call it under `jax.enable_x64(True)` for float64."""
    numbers, Xb, Yb = inputs(sizes)
    params = {name: jnp.asarray(a, dtype) for name, a in numbers.items()}
    Xb, Yb = jnp.asarray(Xb, "int32"), jnp.asarray(Yb, "int32")
    shapes = jax.eval_shape(forward, params, Xb, Yb)
    upstream = _upstream(shapes, probe, sizes.seed)
    _, grads, arrays = _gradients(params, upstream, Xb, Yb)
    values = {"Xb": Xb, "Yb": Yb, "n": sizes.n, **arrays}
    truth = {k: grads[k] for k in before(probe)}
    return Sample(sizes, dtype, probe, values, truth, grads, _ties(values, truth))


def _upstream(shapes: Arrays, probe: str, seed: int) -> dict[str, np.ndarray]:
    """The gradient that comes from outside: at the probe, zero at all other steps."""
    zeros = {name: np.zeros(s.shape, s.dtype) for name, s in shapes.items()}
    like = zeros[probe]
    random = _random(like.shape, seed)
    inside = np.ones_like(like) if probe == "loss" else np.asarray(random, like.dtype)
    return {**zeros, probe: inside}


def _random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random numbers, but zeros in one line along each axis."""
    found = np.random.default_rng([seed, 7]).standard_normal(shape) + 0.1
    for axis, size in enumerate(shape):
        if size > 2:
            np.moveaxis(found, axis, 0)[1] = 0.0
    return found


@jax.jit
def _gradients(params, upstream, Xb, Yb):
    """sum <upstream, array> over all steps, its gradient by every array, the arrays."""

    def f(params):
        arrays = forward(params, Xb, Yb)
        return sum(jnp.vdot(upstream[k], arrays[k]) for k in upstream)

    return retain_grads(f, values=True)(params)


def _ties(values: Arrays, truth: Arrays) -> dict[str, tuple[np.ndarray, ...]]:
    """A tied maximum's gradient may go to any of its places.

    The lecture's goes to the first, `jnp.max`'s in equal parts to all.
    """
    if "logit_maxes" not in truth:
        return {}
    logits = np.asarray(values["logits"])
    size = logits.shape[1]
    places = (logits.argmax(1), size - 1 - logits[:, ::-1].argmax(1))
    through, maxima = (np.asarray(truth[k]) for k in ("norm_logits", "logit_maxes"))
    one_hots = (np.eye(size, dtype=logits.dtype)[place] for place in places)
    return {"logits": tuple(through + one_hot * maxima for one_hot in one_hots)}
