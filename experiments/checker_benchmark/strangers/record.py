"""How a stranger is written down: a right rule, its wrong twins, and what is known.

A case is a function `build(slip)` that gives the rule as its users write it, a bare
`jax.custom_vjp` with `defvjp`, and the plain forward; `slip` is "" for the right rule,
else the name of a mistake, which is made where the code asks for it. So a twin differs
from the right rule in one place, and the two are read side by side.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Twin(NamedTuple):
    """A mistake that people make in this layer.

    Attributes:
        slip: what `build` is told to make it.
        truth: what a name may say, in the words of `tables.ACCEPTED`, separated by "|".
        place: the arguments whose gradients are wrong, by name.
        said: what is wrong, in a sentence.
        witness: `witness(rng) -> args` at which it is wrong, if not at the example.
        proof: "value", "forward", "dtype" or "zero" (the gradient of a cotangent of
            zeros): what is told apart from the truth.
        level: the level of a checker that can be expected to look there.
    """

    slip: str
    truth: str
    place: str
    said: str
    witness: Callable[..., tuple] | None = None
    proof: str = "value"
    level: str = "standard"


class Stranger(NamedTuple):
    """A right rule and its wrong twins.

    Attributes:
        name: unique; its hash says which half the case is in.
        kind: "rule", or "bug" if people had it.
        source: the library that has such a rule, or the thread as owner/repo#number.
        layer: attention, solver, loss, ...
        build: `build(slip) -> (rule, plain forward)`.
        args: `args(rng) -> tuple`, what a user would call it with, float32.
        twins: the mistakes.
        options: what a user would tell `check_vjp` besides the arguments.
        fixed: positions of the arguments that are not scaled in checks of scales.
        narrow: whether the rule is meant to run in bfloat16.
        scales: factors that are sensible for the inputs.
        close: how near in float64 right is; more where the rule casts to float32.
    """

    name: str
    kind: str
    source: str
    layer: str
    build: Callable[[str], tuple[Any, Callable]]
    args: Callable[[np.random.Generator], tuple]
    twins: tuple[Twin, ...]
    options: Callable[[Callable], dict]
    fixed: tuple[int, ...]
    narrow: bool
    scales: tuple[float, ...]
    close: float = 1e-7

    @property
    def half(self) -> str:
        return half_of(self.name)

    @property
    def url(self) -> str:
        repository, _, number = self.source.partition("#")
        return f"https://github.com/{repository}/issues/{number}" if number else ""


def half_of(name: str) -> str:
    """ "working" or "unseen", by a hash of the name and nothing else."""
    odd = hashlib.sha256(name.encode()).digest()[0] % 2
    return "unseen" if odd else "working"


def no_options(plain) -> dict:
    return {}


def by_reference(plain) -> dict:
    """The rule's own forward is none that JAX can differentiate, or is its fwd."""
    return {"reference": plain}


def collect(cases: list[Stranger]):
    """A decorator that adds the case which `build` makes to a file's list."""

    def case(
        source: str,
        layer: str,
        args: Callable,
        *twins: Twin,
        kind: str = "rule",
        name: str = "",
        options: Callable[[Callable], dict] = no_options,
        fixed: tuple[int, ...] = (),
        narrow: bool = True,
        scales: tuple[float, ...] = (0.1, 1.0, 10.0),
        close: float = 1e-7,
    ):
        def add(build):
            known = name or build.__name__
            about = (known, kind, source, layer, build, args, twins)
            cases.append(Stranger(*about, options, fixed, narrow, scales, close))
            return build

        return add

    return case


def normal(rng, *shape: int, mean: float = 0.0, std: float = 1.0):
    """Normal numbers in float32."""
    return jnp.asarray(rng.normal(mean, std, shape), jnp.float32)


def positive(rng, *shape: int, low: float = 0.5, high: float = 2.0):
    """Uniform numbers between low and high in float32."""
    return jnp.asarray(rng.uniform(low, high, shape), jnp.float32)


def integers(rng, below: int, *shape: int):
    """int32 numbers in [0, below)."""
    return jnp.asarray(rng.integers(0, below, shape), jnp.int32)


def unit_rows(rng, *shape: int):
    """Normal numbers, each row divided by its length."""
    x = rng.normal(size=shape)
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32)


def draw(**shapes: tuple[int, ...]):
    """`args` of normal arrays: draw(x=(3, 5), gain=(5,)); the names are for readers."""

    def args(rng):
        return tuple(normal(rng, *shape) for shape in shapes.values())

    return args
