"""The plain forward: a function without the custom_vjp rules inside it.

`evaluate` runs a jaxpr equation by equation and lets `step` replace any of them. With
it every inner custom_vjp call gives way to its body, so that a reference is what JAX
itself derives and not the rule under test; named values are tapped and comparisons
watched.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend import source_info_util
from jax.extend.core import jaxprs_in_params

from jaxninja.jaxpr import JITTED, REMAT, RULES, bind, body, holds_rule, run
from jaxninja.jaxpr import opened as opened_jaxpr

OPENED = JITTED | RULES
Step = Callable[[Any, list], "list | None"]


def evaluate(closed, args, step: Step | None = None, where=None) -> list:
    """Outputs of a jaxpr on flat `args`.

    Args:
        closed: the jaxpr; calls in OPENED are entered, and so are the bodies of scans,
            loops and branches that hold a custom_vjp call.
        args: flat list of inputs.
        step: `step(eqn, inputs) -> outputs`, or None for what the equation says.
        where: source traceback to give to the equations of an opened call.
    """

    def located(eqn, ins):
        trace = where if where is not None and not _has_user_line(eqn) else None
        with source_info_util.user_context(trace or eqn.source_info.traceback):
            return _step(eqn, ins, step)

    return run(*opened_jaxpr(closed), args, located)


def _step(eqn, ins: list, step: Step | None) -> list:
    outs = step(eqn, ins) if step else None
    if outs is not None:
        return list(outs)
    if eqn.primitive in OPENED or _is_remat_of_rule(eqn):
        return evaluate(body(eqn), ins, step, eqn.source_info.traceback)
    return bind(_without_rules(eqn, step), ins)


def _without_rules(eqn, step):
    """The equation with custom_vjp calls in the bodies of its parameters opened."""
    if not any(map(holds_rule, jaxprs_in_params(eqn.params))):
        return eqn

    def opened(value):
        if isinstance(value, tuple | list):
            return type(value)(opened(v) for v in value)
        return _retraced(value, step) if hasattr(value, "eqns") else value

    return eqn.replace(params={k: opened(v) for k, v in eqn.params.items()})


def _is_remat_of_rule(eqn) -> bool:
    return eqn.primitive in REMAT and holds_rule(body(eqn))


def _retraced(inner, step):
    avals = [
        jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type)
        for a in (v.aval for v in inner.jaxpr.invars)
    ]
    return jax.make_jaxpr(lambda *args: evaluate(inner, args, step))(*avals)


def opened(f: Callable, step: Step | None = None) -> Callable:
    """`f` with every custom_vjp call replaced by its body, however deep."""

    def plain(*args):
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        outs = evaluate(closed, jax.tree.leaves(args), step)
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return plain


def line_of(eqn) -> str | None:
    """ "file:line" of the user's code that an equation comes from."""
    frame = user_frame(eqn)
    return f"{frame[0].rsplit('/', 1)[-1]}:{frame[1]}" if frame else None


def user_frame(eqn) -> tuple[str, int] | None:
    """File and line of the innermost frame of the user's code."""
    from jaxninja.check.errors import is_users

    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        if is_users(frame.file_name):
            return frame.file_name, frame.line_num
    return None


def _has_user_line(eqn) -> bool:
    return user_frame(eqn) is not None
