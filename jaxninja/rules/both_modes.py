"""Forward and reverse mode of one function, both by hand.

A `jax.custom_vjp` function has no forward mode: `jax.jvp`, `jacfwd` and `linearize` of
it raise. JAX's experimental high-level primitives (hijax) have a place for either rule.
`custom_vjp` stays the form in which rules are written; this makes the other from it.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.rule import Rule

NEEDED = ("expand", "vjp_fwd", "vjp_bwd_retval", "jvp", "lin", "linearized", "batch")


class BothModes:
    """A rule as a function with forward and reverse mode; `rule` is the record."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.__name__ = rule.name
        self.__doc__ = rule.op.__doc__
        self.__wrapped__ = inspect.unwrap(rule.op)
        self._primitive = _primitive_class(rule.name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        bound = inspect.signature(self.__wrapped__).bind(*args, **options)
        bound.apply_defaults()
        given = bound.args
        places = getattr(self.rule.op, "nondiff_argnums", ())
        static = tuple(given[i] for i in places)
        primals = tuple(a for i, a in enumerate(given) if i not in places)
        leaves, structure = jax.tree.flatten(primals)  # None has no leaf
        arrays = [a if hasattr(a, "dtype") else jnp.asarray(a) for a in leaves]
        avals = tuple(map(jax.typeof, arrays))
        functions = _of_leaves(self.rule, structure)
        return self._primitive(avals, static, *functions)(*arrays)

    def __repr__(self) -> str:
        return f"both({self.rule.name})"


def both(rule: Any) -> BothModes:
    """The function of a rule with both modes: `jvp`, `linearize`, `jacfwd` work too.

    Args:
        rule: a `Rule` that has a jvp, or the op of one of `jaxninja.rules`.

    Returns:
        A function of the op's arguments, in its order. It composes with grad,
        jacrev, hessian, vmap, scan and remat as the op does.

    Raises:
        TypeError: it is neither of these, or the rule has no jvp.
        NotImplementedError: this version of JAX has not the hijax that it needs.
    """
    if not isinstance(rule, Rule):
        from jaxninja.rules import RULES

        known = {r.op: r for r in RULES} if callable(rule) else {}
        if rule not in known:
            raise TypeError(
                f"both: {rule!r} is neither a Rule nor an op of jaxninja.rules; give a "
                "Rule with op, fwd, bwd and jvp"
            )
        rule = known[rule]
    if rule.jvp is None:
        raise TypeError(f"both: the rule {rule.name} has no jvp; write one, and give "
                        "it to Rule(jvp=...)")  # fmt: skip
    return BothModes(rule)


def available() -> str | None:
    """Why this version of JAX has no `both`; None where it has."""
    try:
        _base()
    except NotImplementedError as error:
        return str(error)
    return None


def _base() -> Any:
    """hijax and its class of primitives, by either of its names."""
    try:
        from jax.experimental import hijax
    except ImportError:
        hijax = None
    for name in ("VJPHiPrimitive", "HiPrim"):
        found = getattr(hijax, name, None)
        if found is not None and all(hasattr(found, method) for method in NEEDED):
            return hijax, found
    raise NotImplementedError(
        f"both: JAX {jax.__version__} has no jax.experimental.hijax.VJPHiPrimitive (or "
        f"HiPrim) with {', '.join(NEEDED)}; 0.10.2 and 0.12 have it. The rule itself "
        "has reverse mode in any version"
    )


def _of_leaves(rule: Rule, structure: Any) -> tuple[Callable, ...]:
    """fwd, bwd and jvp of the leaves of the arguments, which have this structure.

    fwd takes the static options last; the others, as those of a rule do, first.
    """
    count, filled = structure.num_leaves, structure.unflatten

    def fwd(*args):
        arrays, static = args[:count], args[count:]
        return rule.fwd(*rule.arranged(filled(arrays), static))

    def bwd(*args):
        return tuple(structure.flatten_up_to(rule.bwd(*args)))

    def jvp(*args):
        *static, primals, tangents = args
        return rule.jvp(*static, filled(primals), filled(tangents))  # type: ignore[misc]

    return fwd, bwd, jvp


def _primitive_class(name: str) -> type:
    """The class of primitives whose rules are a fwd, a bwd and a jvp."""
    hijax, base = _base()

    def tangent(move, primal):
        """Zeros that JAX has not made yet are made; an integer does not move."""
        if not jnp.issubdtype(jnp.result_type(primal), jnp.inexact):
            return None
        return jnp.zeros_like(primal) if isinstance(move, hijax.Zero) else move

    class HandWritten(base):
        def __init__(self, avals, static, fwd, bwd, jvp):
            self.in_avals = avals
            shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
            out = jax.eval_shape(lambda *arrays: fwd(*arrays, *static)[0], *shapes)
            as_aval = lambda a: hijax.ShapedArray(a.shape, a.dtype)  # noqa: E731
            self.out_aval = jax.tree.map(as_aval, out)
            self.params = {"static": static, "rules": (fwd, bwd, jvp)}
            super().__init__()

        def expand(self, *arrays):
            return self.rules[0](*arrays, *self.static)[0]

        def vjp_fwd(self, _, /, *arrays):
            return self.rules[0](*arrays, *self.static)

        def vjp_bwd_retval(self, residuals, dy, /):
            dy = jax.tree.map(hijax.instantiate_zeros, dy, is_leaf=_is_zero(hijax))
            found = self.rules[1](*self.static, residuals, dy)
            none = [hijax.Zero(a.to_tangent_aval()) for a in self.in_avals]
            pairs = zip(found, none, strict=True)
            return tuple(zero if g is None else g for g, zero in pairs)

        def jvp(self, primals, tangents):
            moves = [tangent(t, p) for t, p in zip(tangents, primals, strict=True)]
            return self.rules[2](*self.static, tuple(primals), tuple(moves))

        def lin(self, _, *primals):
            return self.expand(*primals), primals

        def linearized(self, primals, *tangents):
            return self.jvp(primals, tangents)[1]

        def batch(self, axis_data, arrays, dims):
            """A primitive of arrays that all have the axis, in front."""
            size = axis_data.size
            full = [
                jnp.broadcast_to(a, (size, *a.shape)) if d is None
                else jnp.moveaxis(a, d, 0)
                for a, d in zip(arrays, dims, strict=True)
            ]  # fmt: skip
            mapped = partial(_mapped, self.static)
            rules = [f(r) for f, r in zip(mapped(), self.rules, strict=True)]
            avals = tuple(map(jax.typeof, full))
            out = HandWritten(avals, self.static, *rules)(*full)
            return out, jax.tree.map(lambda _: 0, out)

    HandWritten.__name__ = HandWritten.__qualname__ = name
    return HandWritten


def _is_zero(hijax: Any) -> Callable:
    return lambda leaf: isinstance(leaf, hijax.Zero)


def _mapped(static: tuple) -> tuple[Callable, Callable, Callable]:
    """What makes fwd, bwd and jvp of one example those of a batch."""
    count = len(static)

    def of_fwd(fwd):
        def batched(*args):
            arrays = args[: len(args) - count]
            return jax.vmap(lambda *a: fwd(*a, *static))(*arrays)

        return batched

    def of_bwd(bwd):
        return lambda *args: jax.vmap(partial(bwd, *static))(*args[count:])

    def of_jvp(jvp):
        return lambda *args: jax.vmap(partial(jvp, *static))(*args[count:])

    return of_fwd, of_bwd, of_jvp
