"""The arrays that a function names: found in its equations, and let move.

`find_names` reads a jaxpr, and `evaluate` runs it again, equation by equation, with a
shift let into each named array. `intermediates.gradients` makes gradients of these two.

JAX keeps every call (jit, scan, a custom_vjp function, ...) as one equation with the
called jaxpr inside. A call without names is bound as it is, so it keeps its own rule.
"""

import functools
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import source_info_util
from jax.extend.core import Literal, jaxprs_in_params
from jax.extend.core import primitives as prim

from jaxninja.errors import ArgumentError
from jaxninja.jaxpr import JITTED, REMAT, bind, body, opened, run, scan_parts

# What is entered: a name in any other call is out of reach.
_ENTERED = JITTED | REMAT


class Named(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any
    where: str  # file and line of the call of checkpoint_name
    lost: bool = False  # f goes on with the array that it gave to checkpoint_name


def find_names(jaxpr) -> dict[str, Named]:
    atoms = [*(a for eqn in jaxpr.eqns for a in eqn.invars), *jaxpr.outvars]
    uses = Counter(a for a in atoms if not isinstance(a, Literal))
    names: dict[str, Named] = {}
    for eqn in jaxpr.eqns:
        for name, named in _names_in(eqn).items():
            if name in names:
                raise ArgumentError(_twice(name, names[name].where, named.where))
            lost = eqn.primitive is prim.name_p and _is_lost(eqn, uses)
            names[name] = named._replace(lost=lost or named.lost)
    return names


def _names_in(eqn) -> dict[str, Named]:
    if eqn.primitive is prim.name_p:
        aval = eqn.outvars[0].aval
        where = source_info_util.summarize(eqn.source_info)
        return {eqn.params["name"]: Named(aval.shape, aval.dtype, where)}
    inside = [find_names(jaxpr) for jaxpr in jaxprs_in_params(eqn.params)]
    if not any(inside):
        return {}
    if eqn.primitive in _ENTERED:
        return inside[0]
    if eqn.primitive is prim.scan_p:
        steps = (eqn.params["length"],)
        return {k: n._replace(shape=steps + n.shape) for k, n in inside[0].items()}
    if eqn.primitive is prim.cond_p:
        return functools.reduce(_either, inside)
    name, named = next(item for names in inside for item in names.items())
    raise ArgumentError(
        f"the name {name!r} at {named.where} is inside a {eqn.primitive.name}, where "
        "it is out of reach (a while loop has no backward pass, and a custom rule does "
        "not differentiate the body it stands for): name what goes in or what comes out"
    )


def _is_lost(eqn, uses):
    (given,), (result,) = eqn.invars, eqn.outvars
    # one of the uses of what was given is this equation itself
    return not isinstance(given, Literal) and uses[given] > 1 and not uses[result]


def _either(left, right):
    """Names of two branches of a cond; a common one must be of one shape and dtype."""
    for name in left.keys() & right.keys():
        a, b = left[name], right[name]
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise ArgumentError(
                f"the name {name!r} is {describe(a)} in one branch of a cond, at "
                f"{a.where}, and {describe(b)} in another, at {b.where}: use two names"
            )
    return right | left


def _twice(name, first, second):
    return (
        f"the name {name!r} is given twice, at {first} and at {second}; each array "
        "needs a name of its own (in a loop, or a function called again, number it: "
        f'f"{name}{{i}}"; in a pytree, name each leaf)'
    )


# Running the equations again. `shifts` holds a zero per name, or nothing for values.


def evaluate(jaxpr, consts, args, shifts):
    """-> (outputs, {name: array})."""
    named = {}

    def step(eqn, ins):
        outs, inside = _apply(eqn, ins, shifts)
        named.update(inside)
        return outs

    return run(jaxpr, consts, args, step), named


def _apply(eqn, args, shifts):
    names = _names_in(eqn)
    if not names:
        return bind(eqn, args), {}
    if eqn.primitive is prim.name_p:
        (name,) = names
        (x,) = args
        if not isinstance(x, jax.Array):  # a number of Python's, which f named
            x = jnp.asarray(x, eqn.outvars[0].aval.dtype)
        x = _tap(x, shifts[name]) if name in shifts else x
        (x,) = bind(eqn, [x])  # the name stays: a policy of jax.checkpoint may ask
        return [x], {name: x}
    if eqn.primitive is prim.scan_p:
        return _scan(eqn, args, {k: s for k, s in shifts.items() if k in names})
    if eqn.primitive is prim.cond_p:
        return _cond(eqn, args, shifts, names)
    return evaluate(*opened(body(eqn)), args, shifts)


def _scan(eqn, args, shifts):
    inner, consts = opened(eqn.params["jaxpr"])
    count, carried = scan_parts(eqn)
    fixed, rest = args[:count], args[count:]
    init, xs = rest[:carried], rest[carried:]

    def step(carry, row):
        x, shift = row
        outs, named = evaluate(inner, consts, [*fixed, *carry, *x], shift)
        return outs[:carried], (outs[carried:], named)

    options = {k: eqn.params[k] for k in ("length", "reverse", "unroll")}
    carry, (ys, named) = jax.lax.scan(step, init, (xs, shifts), **options)
    return [*carry, *ys], named


def _cond(eqn, args, shifts, names):
    def branch(jaxpr):
        def run(*operands):
            outs, named = evaluate(*opened(jaxpr), operands, shifts)
            absent = {k: jnp.zeros(n.shape, n.dtype) for k, n in names.items()}
            return outs, absent | named

        return run

    index, *operands = args
    return jax.lax.switch(index, [branch(b) for b in eqn.params["branches"]], *operands)


@jax.custom_jvp
def _tap(x, shift):
    """x, which moves with the shift; x + 0 would turn -0 into 0."""
    return x


@_tap.defjvp
def _tap_jvp(primals, tangents):
    return primals[0], tangents[0] + tangents[1]


def describe(tree):
    def one(a):
        return f"{a.dtype}{list(a.shape)}"

    return str(jax.tree.map(one, tree, is_leaf=lambda a: isinstance(a, Named)))
