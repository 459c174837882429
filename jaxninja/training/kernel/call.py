"""Many steps of the lecture's training in one call of the kernel, through `jax.ffi`.

A scan on a GPU launches a few kernels each step, which takes longer than what they
compute. The 12,297 parameters fit in the shared memory of one multiprocessor, so with a
backward pass by hand all steps are one kernel: `phases.h` has its derivation, `gpu.cu`
runs it on a GPU, and `twin.cc` is the same text on a CPU, where it is proved.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics
from jaxninja.training.kernel import build

NAMES = ("C", "W1", "W2", "b2", "bngain", "bnbias")  # all parameters but b1
BLOCKS = (0, 1, 8)  # of a network; 0 is what suits the device and the networks


class Constants(NamedTuple):
    """What does not change while training."""

    eps: float = 1e-5  # added to batchnorm's variance
    momentum: float = 1e-3  # weight of the new value in the running statistics
    ddof: int = 1  # batchnorm's variance is over n - ddof
    running_ddof: int = 1  # and the running one over n - running_ddof


class Proof(NamedTuple):
    """How the twin runs; see `twin.cc`. None of it changes what is computed, unless a
    barrier that is needed is not there."""

    order: int = 0  # of threads: 0 as numbered, 1 reversed, else a seed to shuffle by
    without: int = -1  # the phase after which there is no barrier


def train(
    params: Params,
    statistics: Statistics,
    ids: Int[Array, "longest 32 3"],
    labels: Int[Array, "longest 32"],
    rates: Float[Array, "longest"],
    steps: Int[Array, ""],
    constants: Constants = Constants(),  # noqa: B008
    blocks: int = 0,
    proof: Proof | None = None,
) -> tuple[Params, Statistics, Float[Array, "longest"]]:
    """Take steps of gradient descent, each with a batch and a learning rate of its own.

    Under `vmap` all networks train at the same time in one launch.

    Args:
        params: of `models.ninja.Ninja()`, in float32.
        statistics: running mean and var [200].
        ids: context symbols, in [0, 27).
        labels: next symbols, in [0, 27).
        rates: learning rates.
        steps: how many to take; the batches from there on are not looked at.
        constants: see there.
        blocks: of threads a network, 1 or 8; they give the same numbers.
        proof: how the twin runs, on a CPU only.

    Returns:
        Parameters and statistics after these steps, and the loss of each before its
        update, 0 from `steps` on.
    """
    assert blocks in BLOCKS
    state = [params[name] for name in NAMES] + [statistics["mean"], statistics["var"]]
    shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in (*state, rates)]
    name = build.target() + ("" if proof is None else "_prove")
    call = jax.ffi.ffi_call(name, shapes, vmap_method="broadcast_all")
    *new, mean, var, losses = call(
        *state,
        params["b1"],
        *(a.astype(jnp.int32) for a in (ids, labels)),
        rates,
        steps.astype(jnp.int32),
        **_attributes(constants, blocks, proof),
    )
    trained = params | dict(zip(NAMES, new, strict=True))
    return trained, {"mean": mean, "var": var}, losses


def _attributes(constants, blocks, proof):
    """In the types that the kernel reads them in."""
    whole = {"ddof": constants.ddof, "running_ddof": constants.running_ddof}
    whole |= {"blocks": blocks} | ({} if proof is None else proof._asdict())
    real = {"eps": constants.eps, "momentum": constants.momentum}
    floats = {name: np.float32(value) for name, value in real.items()}
    return floats | {name: np.int32(value) for name, value in whole.items()}
