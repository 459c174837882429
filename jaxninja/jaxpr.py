"""JAX's equations: how they are read, and the one loop that runs them.

`jax.make_jaxpr` gives a list of equations, each a primitive on variables. `run` goes
through them with whatever a variable shall stand for, arrays or numbers of slots, and
`step(eqn, operands)` says what comes of an equation: `bind` is what JAX makes of it.
What runs a few times on little is compiled with the options of `quick_to_compile`, a
program of training with those of `wide_vectors`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Literal, jaxprs_in_params
from jax.extend.core import primitives as prim

Equation = Any
Jaxpr = Any

JITTED = frozenset({prim.jit_p, prim.closed_call_p})  # calls that are their bodies
REMAT = frozenset({prim.remat_p})
RULES = frozenset({prim.custom_vjp_call_p})  # calls with a backward pass of their own
CALLS = JITTED | REMAT | RULES | {prim.custom_jvp_call_p, prim.call_p}
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")
LITTLE = {"xla_backend_optimization_level": 0}
OLD_EMITTERS = {"xla_cpu_use_fusion_emitters": False}  # not every version has both
WIDE = {"xla_cpu_prefer_vector_width": 512}


def run(
    jaxpr: Jaxpr,
    consts: Sequence,
    args: Sequence,
    step: Callable[[Equation, list], Sequence],
    literal: Callable[[Literal], Any] = lambda literal: literal.val,
) -> list:
    """What the outputs of an open jaxpr stand for.

    Args:
        jaxpr, consts, args: what its variables stand for at the start.
        step: what the results of an equation stand for, from its operands.
        literal: what a number in the text of the jaxpr stands for.
    """
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom):
        return literal(atom) if isinstance(atom, Literal) else env[atom]

    for eqn in jaxpr.eqns:
        outs = step(eqn, [read(atom) for atom in eqn.invars])
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def bind(eqn: Equation, operands: Sequence, **changed: Any) -> list:
    """The results of an equation on other operands, by JAX itself.

    The context in which it was traced (a mesh, a precision) holds for it again.
    `changed` are parameters in place of its own.
    """
    with eqn.ctx.manager:
        params = eqn.primitive.get_bind_params({**eqn.params, **changed})
        out = eqn.primitive.bind(*operands, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def opened(jaxpr: Jaxpr) -> tuple[Jaxpr, Sequence]:
    """A jaxpr and its constants, which are one object or two by the version of JAX."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())


def closed(jaxpr: Jaxpr) -> Jaxpr:
    """One object, whichever it was."""
    return jaxpr if hasattr(jaxpr, "consts") else ClosedJaxpr(jaxpr, ())


def body(eqn: Equation) -> Jaxpr:
    """The closed jaxpr that a call runs."""
    return closed(next(eqn.params[name] for name in _BODIES if name in eqn.params))


def scan_parts(eqn: Equation) -> tuple[int, int]:
    """How many operands of a scan are fixed, and how many are carried.

    A scanned array has one axis more outside of the body than inside.
    """
    jaxpr, _ = opened(eqn.params["jaxpr"])

    def same_rank(outer, inner):
        return len(outer.aval.shape) == len(inner.aval.shape)

    carried = sum(map(same_rank, eqn.outvars, jaxpr.outvars))
    return sum(map(same_rank, eqn.invars, jaxpr.invars)) - carried, carried


def equations(jaxpr: Jaxpr) -> Iterator[Equation]:
    """All equations of a jaxpr, those of inner jaxprs after the one that holds them."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner)


def holds_rule(jaxpr: Jaxpr) -> bool:
    """Whether a custom_vjp call occurs anywhere in it."""
    return any(eqn.primitive in RULES for eqn in equations(jaxpr))


def called_name(eqn: Equation) -> str:
    """The name of the function that a call runs; empty where it has none."""
    inside = next((eqn.params[name] for name in _BODIES if name in eqn.params), None)
    debug = getattr(opened(inside)[0], "debug_info", None)
    name = eqn.params.get("name") or getattr(debug, "func_name", "")
    return "" if name.startswith("<") else name


def scope(eqn: Equation) -> tuple[str, ...]:
    """The names of the jax.named_scope blocks around an equation."""
    return tuple(filter(None, str(eqn.source_info.name_stack).split("/")))


@lru_cache(maxsize=1)
def quick_to_compile() -> dict[str, Any]:
    """`jax.jit`'s compiler_options with which a CPU compiles in a quarter of the time.

    Those that this version of XLA knows; none but on a CPU.
    """
    return _known(LITTLE | OLD_EMITTERS, LITTLE)


@lru_cache(maxsize=1)
def wide_vectors() -> dict[str, Any]:
    """`jax.jit`'s compiler_options for what runs long: vectors as wide as a CPU has.

    XLA takes half the width of AVX-512, since some processors run slower on all of it.
    None where this version of XLA does not know them, and none but on a CPU.
    """
    return _known(WIDE)


def _known(*choices: dict[str, Any]) -> dict[str, Any]:
    if jax.default_backend() != "cpu":
        return {}
    for options in choices:
        try:
            jax.jit(lambda: 0, compiler_options=options)()
        except Exception:  # whatever XLA raises for an option it does not know
            continue
        return options
    return {}
