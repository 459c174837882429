"""What in a traced function no hand has derived: autodiff, and what does its work.

All that JAX's autodiff makes carries `jvp` or `transpose` in the name stack of its
equations.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

# "jvp(h)" and "transpose(jvp(h))" are autodiff's; "jit(transpose)" is jnp.transpose
_AUTODIFF = re.compile(r"(?:^|[/(])(?:jvp|transpose)\(")
_HIDING = {"pure_callback", "io_callback", "python_callback"}
_HERE = Path(__file__).parent
# where gradients are ready: who calls these derives none
_OURS = {_HERE / "user_file.py", _HERE / "user_block.py"}  # these call the learner's
_READY = (
    *(_HERE.parents[1] / room for room in ("engine", "rules")),
    *(_HERE.parents[1] / "workbook" / "solutions", _HERE),
)


class Machine(NamedTuple):
    """What in a function is not by hand: a code of MACHINES, and its facts."""

    code: str
    what: str = ""
    place: str = ""

    def __str__(self) -> str:
        return MACHINES[self.code].format_map(self._asdict())


MACHINES = {
    "autodiff": "uses automatic differentiation (an equation {what!r} of {place})",
    "callback": "hides what it does in a callback",
    "complex": "computes with complex numbers, as numerical derivatives do",
    "ready": "calls {what}, which has gradients ready",
}


def not_by_hand(jaxpr: Any) -> Machine | None:
    """What in a traced function is not by hand; None if all of it is."""
    for eqn, stack in equations(jaxpr):
        if _AUTODIFF.search(stack):
            return Machine("autodiff", eqn.primitive.name, stack.strip("/"))
        if eqn.primitive.name in _HIDING:
            return Machine("callback")
        if any(map(_is_complex, eqn.outvars)):
            return Machine("complex")
        if module := _ready_made(eqn):
            return Machine("ready", module)
    return None


def _is_complex(variable: Any) -> bool:
    dtype = getattr(variable.aval, "dtype", np.dtype(float))
    return jnp.issubdtype(dtype, jnp.complexfloating)


def _ready_made(eqn: Any) -> str | None:
    """The module of ours with gradients in it that an equation was made by."""
    made_by = eqn.source_info.traceback
    codes = made_by.raw_frames()[0] if made_by else ()
    for path in {Path(code.co_filename) for code in codes} - _OURS:
        if any(room in path.parents for room in _READY):
            return ".".join(path.relative_to(_HERE.parents[2]).with_suffix("").parts)
    return None


def equations(jaxpr: Any, stack: str = "") -> Iterator[tuple[Any, str]]:
    """All equations, those of inner jaxprs too, with their full name stacks."""
    for eqn in jaxpr.eqns:
        full = f"{stack}/{eqn.source_info.name_stack}"
        yield eqn, full
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner, full)
