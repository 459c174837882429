"""Errors of the checker, and errors inside the user's code told with file and line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxninja.errors import UserError, is_users

_CONTROL_FLOW = (
    jax.errors.TracerBoolConversionError,
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerIntegerConversionError,
)


CLOSES_OVER = (
    "uses a traced value from outside of it, with respect to which no rule has a "
    "gradient",
    ": pass it as an argument",
)


class VJPCheckError(AssertionError):
    """A backward pass is wrong, or was not tested; the text is the report."""


class UserCodeError(UserError):
    """The user's code raised, or cannot be traced.

    Attributes:
        code: "E-CONTROL", "E-NUMPY", "E-RAISE"; "N-NORULE" of a function without one.
        sentence: what happened and what to do.
        where: "file:line" in the user's code, if a frame of it is known.
        what, did: who it was ("bwd of norm") and what it did, without the place.
        wide: whether JAX made float64 of every float then.
    """

    def __init__(
        self, code: str, sentence: str, where: str | None, what: str = "", did: str = ""
    ):
        super().__init__(sentence)
        self.code, self.sentence, self.where = code, sentence, where
        self.what, self.did = what, did or sentence
        self.wide = jnp.result_type(float) == jnp.float64


class NoRuleError(UserCodeError, TypeError):
    """A function whose gradient is JAX's own: there is no rule to check."""

    def __init__(self, sentence: str, where: str | None = None):
        super().__init__("N-NORULE", sentence, where)


def without_rule(name: str, is_jvp: bool) -> str:
    """What is said of a function that carries no backward pass."""
    if is_jvp:
        return (
            f"no backward pass to check: {name} is a jax.custom_jvp function, whose "
            "gradient JAX transposes from its jvp rule; hold that rule against jax.jvp "
            "of the plain function, or give a jax.custom_vjp function"
        )
    return (
        f"no gradient to check: {name} calls no custom_vjp function, so its "
        "gradient is JAX's own; give a jax.custom_vjp function, a jaxninja Rule, or a "
        "pair (forward, backward)"
    )


@contextmanager
def running(what: str) -> Iterator[None]:
    """Translate whatever `what` ("bwd of norm") raises into a UserCodeError."""
    try:
        yield
    except UserCodeError:
        raise
    except Exception as error:
        raise explained(what, error) from error


def explained(what: str, error: Exception) -> UserCodeError:
    where = user_line(error)
    at = f" at {where}" if where else ""
    code, did, why = _kind(error)
    return UserCodeError(code, f"{what} {did}{at}{why}", where, what, f"{did}{why}")


def _kind(error: Exception) -> tuple[str, str, str]:
    """Code, what the code did, and why that is an error or what to do."""
    closed_over = "closed-over value" in str(error)
    if closed_over or isinstance(error, jax.errors.UnexpectedTracerError):
        return "E-CLOSURE", *CLOSES_OVER
    if isinstance(error, jax.errors.TracerArrayConversionError):
        did = "turns a traced array into a NumPy array"
        why = ", so it cannot be jitted or differentiated: use jax.numpy there"
        return "E-NUMPY", did, why
    if isinstance(error, _CONTROL_FLOW):
        did = "uses Python control flow or a Python number on a traced array"
        why = (
            ", so it works in no jit, vmap or scan: use jnp.where or jax.lax.cond, or "
            "make the value a static argument"
        )
        return "E-CONTROL", did, why
    message = first_line(error) or "no message"
    return "E-RAISE", f"raised {type(error).__name__}", f": {message}"


def first_line(error: BaseException) -> str:
    """Of an error's message; with what follows where that line announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    count = next((i for i, line in enumerate(lines) if not line.endswith(":")), 0)
    return " ".join(lines[: count + 1])


def user_line(error: BaseException) -> str | None:
    """ "file:line" of the innermost frame outside of the checker and of libraries."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_users(frame.filename):
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return None
