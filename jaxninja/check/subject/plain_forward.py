"""Walk a jaxpr: the one interpreter of the checker.

`evaluate` runs a jaxpr equation by equation and lets `step` replace any of them. With
it every inner custom_vjp call gives way to its body, so that a reference is what JAX
itself derives and not the rule under test; named values are tapped and comparisons
watched.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import source_info_util
from jax.extend.core import Literal

OPENED = ("jit", "pjit", "closed_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
Step = Callable[[Any, list], "list | None"]


def evaluate(closed, args, step: Step | None = None, where=None) -> list:
    """Outputs of a closed jaxpr on flat `args`.

    Args:
        closed: the jaxpr; calls in OPENED are entered, and so are the bodies of scans,
            loops and branches that hold a custom_vjp call.
        args: flat list of inputs.
        step: `step(eqn, inputs) -> outputs`, or None for what the equation says.
        where: source traceback to give to the equations of an opened call.
    """
    jaxpr = getattr(closed, "jaxpr", closed)  # the body of a remat may be open
    env = dict(zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        ins = [v.val if isinstance(v, Literal) else env[v] for v in eqn.invars]
        trace = where if where is not None and not _has_user_line(eqn) else None
        with source_info_util.user_context(trace or eqn.source_info.traceback):
            outs = _run(eqn, ins, step)
        env.update(zip(eqn.outvars, outs, strict=True))
    return [v.val if isinstance(v, Literal) else env[v] for v in jaxpr.outvars]


def _run(eqn, ins: list, step: Step | None) -> list:
    outs = step(eqn, ins) if step else None
    if outs is not None:
        return list(outs)
    if eqn.primitive.name in OPENED or _is_remat_of_rule(eqn):
        return evaluate(body_of(eqn), ins, step, eqn.source_info.traceback)
    return rebind(_without_rules(eqn, step), ins)


def rebind(eqn, ins: list) -> list:
    """The equation's primitive on other operands; always a list of outputs."""
    bound = eqn.primitive.get_bind_params(eqn.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    outs = eqn.primitive.bind(*functions, *ins, **params)
    return list(outs) if eqn.primitive.multiple_results else [outs]


def body_of(eqn):
    return eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))


def _without_rules(eqn, step):
    """The equation with custom_vjp calls in the bodies of its parameters opened."""
    if not any(holds_rule(body) for body in bodies(eqn)):
        return eqn

    def opened(value):
        if isinstance(value, tuple | list):
            return type(value)(opened(v) for v in value)
        return _retraced(value, step) if hasattr(value, "eqns") else value

    return eqn.replace(params={k: opened(v) for k, v in eqn.params.items()})


def _is_remat_of_rule(eqn) -> bool:
    remat = eqn.primitive.name in ("remat", "remat2", "checkpoint")
    return remat and holds_rule(body_of(eqn))


def _retraced(body, step):
    avals = [
        jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type)
        for a in (v.aval for v in body.jaxpr.invars)
    ]
    return jax.make_jaxpr(lambda *args: evaluate(body, args, step))(*avals)


def bodies(eqn) -> Iterator[Any]:
    """The jaxprs in the parameters of an equation."""
    for value in eqn.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if hasattr(item, "eqns"):
                yield item


def equations(jaxpr) -> Iterator[Any]:
    """All equations of a jaxpr, those of inner jaxprs after the one that holds them."""
    for eqn in jaxpr.eqns:
        yield eqn
        for body in bodies(eqn):
            yield from equations(body)


def holds_rule(jaxpr) -> bool:
    """Whether a custom_vjp call occurs anywhere in it."""
    return any(e.primitive.name.startswith("custom_vjp_call") for e in equations(jaxpr))


def opened(f: Callable, step: Step | None = None) -> Callable:
    """`f` with every custom_vjp call replaced by its body, however deep."""

    def run(*args):
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        outs = evaluate(closed, jax.tree.leaves(args), step)
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return run


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
