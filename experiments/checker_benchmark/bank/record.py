"""How a bank file writes a rule down: plain function, fwd, bwd, inputs, sizes."""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.rule import Case, Rule


def record(
    plain, fwd, bwd, example, *cases: Case, static: int = 0, source: str
) -> Rule:
    """Make `plain` a custom_vjp of `fwd` and `bwd`, and describe it as a `Rule`.

    Args:
        plain: the forward pass, its last `static` arguments being hyperparameters.
        fwd, bwd: as in `Rule`.
        example: `example(key, **dims) -> arrays`.
        cases: sizes to check; the bench case is the first, sixteen times as large.
        static: how many trailing arguments are static.
        source: where the layer comes from.
    """
    count = len(inspect.signature(plain).parameters)
    op = jax.custom_vjp(plain, nondiff_argnums=tuple(range(count - static, count)))
    op.defvjp(fwd, bwd)
    large = {name: 16 * size for name, size in cases[0].dims.items()}
    bench = Case(large, cases[0].static)
    return Rule(op, fwd, bwd, example, tuple(cases), bench, source)


def sizes(text: str, *static) -> Case:
    """`sizes("N=7 D=5", 1e-5)` is the Case of these sizes and static options."""
    pairs = (part.split("=") for part in text.split())
    return Case({name: int(size) for name, size in pairs}, static)


def normal(*shapes: str, mean: float = 0.3, std: float = 1.2) -> Callable[..., tuple]:
    """An `example` with one float32 array a shape: normal("N D", "D").

    The mean is off zero and differs from array to array, so that nothing is symmetric.
    """

    def example(key, **dims):
        rng = generator(key)
        return tuple(
            array(rng, shape, dims, mean + 0.1 * i, std)
            for i, shape in enumerate(shapes)
        )

    return example


def generator(key) -> np.random.Generator:
    """NumPy's generator seeded by a JAX key.

    The examples are drawn on the host: `jax.random` outside of jit compiles anew for
    each shape, which would take most of the time of a benchmark of small arrays.
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def array(rng, shape: str, dims, mean: float = 0.3, std: float = 1.2):
    """Normal numbers, float32 whatever the default dtype is; shape as "N D"."""
    lengths = [dims[name] for name in shape.split()]
    return jnp.asarray(rng.normal(mean, std, lengths), jnp.float32)


def integers(rng, shape: str, dims, below: str):
    """int32 numbers in [0, dims[below]), with repetitions wherever there is room."""
    lengths = [dims[name] for name in shape.split()]
    return jnp.asarray(rng.integers(0, dims[below], lengths), jnp.int32)
