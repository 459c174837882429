"""The route of a file: the learner's own `backward` becomes the gradient.

    def backward(Xb, Yb, n, ..., h, logits):    # any arrays of the forward, by name
        ...
        return dC, dW1, db1, dW2, db2, dbngain, dbnbias

It is called with the arrays of `atomic.forward` that its parameters name. For the
transformer it is of a block: of `atomic_block.forward` and dy it makes dx and the
gradients of a layer, and it is called once for each layer. `proof` shows that no
automatic differentiation took part: all that autodiff makes carries `jvp` or
`transpose` in the name stack of its equations, and no equation here does.
"""

import hashlib
import inspect
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.errors import UserError
from jaxninja.models import atomic, atomic_block, ninja, transformer
from jaxninja.models.by_hand import user_block
from jaxninja.models.by_hand.by_machine import equations, not_by_hand
from jaxninja.models.ninja import Ninja
from jaxninja.models.transformer import LAYER, Transformer

FUNCTION = "backward"
_NEEDS_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerIntegerConversionError,
)


class RouteError(UserError, ValueError):
    """A file that cannot be a route; the message says where and why."""


def is_file(route: str) -> bool:
    return route.endswith(".py")


def text(route: str) -> str:
    """The file's text.

    Raises:
        RouteError: it cannot be read.
    """
    try:
        return Path(route).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RouteError(f"route {route!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RouteError(f"route {route!r} is not a text file in UTF-8") from None


def version(route: str) -> str:
    """What tells two texts of the file apart; empty for a route that is no file."""
    return hashlib.sha256(text(route).encode()).hexdigest() if is_file(route) else ""


Known = Ninja | Transformer  # the networks that a file may be for


def exercise(model: Any) -> int:
    """The exercise of the workbook whose file trains this network."""
    return 8 if isinstance(model, Transformer) else 4


def value_and_grad(route: str, model: Known) -> Callable[..., Any]:
    """Loss, batch statistics and the learner's gradients, as `routes.value_and_grad`.

    Raises:
        RouteError: no such function, parameters that the forward does not have, other
            constants than the lecture's; when called: it raised, or returned no seven
            gradients of the right shapes.
    """
    if isinstance(model, Transformer):
        return _of_blocks(route, model)
    if (model.eps, model.ddof) != (atomic.EPS, 1):
        raise RouteError(
            f"route {route!r} is for the lecture's batchnorm, eps {atomic.EPS:g} and "
            f"ddof 1; the configuration has eps {model.eps:g} and ddof {model.ddof}"
        )
    known = ("Xb", "Yb", "n", *atomic.PARAMETERS, *atomic.STEPS)
    backward, wanted = load(route, known)

    def value_and_learners_grad(params, ids, labels):
        values = atomic.forward(params, ids, labels)
        known = {**values, **params, "Xb": ids, "Yb": labels, "n": len(ids)}
        with_names = {name: known[name] for name in wanted}
        with jax.named_scope(FUNCTION):
            grads = _called(route, backward, with_names)
        in_order = {name: params[name] for name in atomic.PARAMETERS}
        statistics = {"mean": values["bnmeani"][0], "var": values["bnvar"][0]}
        return (values["loss"], statistics), _by_name(route, grads, in_order)

    return value_and_learners_grad


def _of_blocks(route: str, model: Transformer) -> Callable[..., Any]:
    """The transformer's, whose blocks are a learner's."""
    if (model.eps, model.dtype) != (atomic_block.EPS, "float32"):
        raise RouteError(
            f"route {route!r} is for layernorm's eps {atomic_block.EPS:g} and float32; "
            f"the configuration has eps {model.eps:g} and dtype {model.dtype}"
        )
    backward, wanted = load(route, user_block.known())

    def of_block(arrays: dict, dy: jax.Array) -> tuple[jax.Array, dict]:
        given = {**arrays, "dy": dy}
        with jax.named_scope(FUNCTION):
            grads = _called(route, backward, {name: given[name] for name in wanted})
        found = _by_name(route, grads, {k: arrays[k] for k in ("x", *LAYER)})
        return found.pop("x"), found

    def value_and_learners_grad(params, ids, labels):
        return user_block.value_and_grad(params, ids, labels, model, of_block)

    return value_and_learners_grad


def scope(name: str) -> dict[str, Any]:
    """What a user's file has before its first line: its name, jax, jnp and np."""
    return {"__name__": name, "jax": jax, "jnp": jnp, "np": np}


def load(
    route: str, known: Sequence[str]
) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function, and the names of the arrays that it asks for, which are `known`.

    Raises:
        RouteError: the file does not run, or has no `backward` with known parameters.
    """
    names = scope("route")
    written = text(route)
    try:
        exec(compile(written, route, "exec"), names)
    except SyntaxError as error:
        raise RouteError(f"{route}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        raise _route_error(route, error) from None
    backward = names.get(FUNCTION)
    if not callable(backward):
        raise RouteError(f"{route} has no function {FUNCTION!r}")
    wanted = tuple(inspect.signature(backward).parameters)
    if unknown := [name for name in wanted if name not in known]:
        raise RouteError(
            f"{route}: {FUNCTION} asks for {', '.join(unknown)}, which the forward "
            f"pass does not have; it can have {', '.join(known)}"
        )
    return backward, wanted


def _called(route: str, backward: Callable, arrays: dict) -> Any:
    try:
        return backward(**arrays)
    except Exception as error:
        raise _route_error(route, error) from None


def _route_error(route: str, error: Exception) -> RouteError:
    """What the file raised, with its line, in a sentence."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == route]
    place = f"{route}:{lines[-1]}" if lines else route
    first = (str(error).splitlines() or ["no message"])[0]
    why = not_compiled(error)
    what = NOT_COMPILED[why] if why else f"{type(error).__name__}: {first}"
    return RouteError(f"{place}: {what}")


NOT_COMPILED = {
    "numpy": "training compiles backward, and NumPy cannot be compiled: use jnp, as in "
    "dC = jnp.zeros_like(C).at[Xb].add(demb)",
    "numbers": "training compiles backward, before there are numbers: int, float, if, "
    "while and assert cannot have those of an array; use jnp, as in jnp.where",
}


def not_compiled(error: Exception) -> str | None:
    """What in a backward pass cannot be compiled, of NOT_COMPILED; None if it can."""
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "numpy"
    return "numbers" if isinstance(error, _NEEDS_NUMBERS) else None


def _by_name(route: str, grads: Any, arrays: dict) -> dict[str, jax.Array]:
    """What was returned, by the names of `arrays`, in their order and shapes."""
    names = tuple(arrays)
    expected = f"{route}: {FUNCTION} should return {', '.join(f'd{k}' for k in names)}"
    if not isinstance(grads, tuple | list) or len(grads) != len(names):
        kind = type(grads).__name__
        size = f" of {len(grads)}" if isinstance(grads, tuple | list) else ""
        raise RouteError(f"{expected}; it returned a {kind}{size}")
    found = {}
    for name, grad in zip(names, grads, strict=True):
        shape = arrays[name].shape
        if grad is None or jnp.shape(grad) != shape:
            given = "None" if grad is None else f"of shape {jnp.shape(grad)}"
            raise RouteError(f"{expected}; d{name} is {given}, expected {shape}")
        found[name] = jnp.asarray(grad, arrays[name].dtype)
    return found


def proof(route: str, model: Known, batch_size: int) -> str:
    """A sentence that says that the gradients were made without autodiff.

    Raises:
        RouteError: they were not, or it cannot be seen: a callback hides what runs.
    """
    of_blocks = isinstance(model, Transformer)
    init = transformer.init if of_blocks else ninja.init
    params = jax.eval_shape(partial(init, model=model), jax.random.key(0))
    ids = jax.ShapeDtypeStruct((batch_size, model.context), jnp.int32)
    labels = ids if of_blocks else jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    traced = jax.make_jaxpr(value_and_grad(route, model))(params, ids, labels)
    if found := not_by_hand(traced.jaxpr):
        raise RouteError(f"{route}: {FUNCTION} {found}: derive it by hand")
    mine = sum(f"/{FUNCTION}" in f"/{stack}" for _, stack in equations(traced.jaxpr))
    return f"none of the {mine} equations of {FUNCTION} was made by autodiff"
