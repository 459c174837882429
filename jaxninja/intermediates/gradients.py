"""The gradient of any array that a function names: `retain_grad`, which JAX has not.

    def loss(W):
        h = checkpoint_name(jnp.tanh(x @ W), "h")    # from jax.ad_checkpoint
        return (h**2).mean()

    value, grads = retain_grads(loss)(W)             # grads["h"] has the shape of h

A gradient is a question about a change: what does the value do when h moves by a little
s, and everything after h follows? So f is traced to its equations, which are run again
with one more input per name, the shift s = 0 that is let in where h is named:

    dvalue/dh = dvalue/ds at s = 0

and that is a plain `jax.vjp` with respect to the shifts. The calls that f makes stay
calls, so the rule of a `jax.custom_vjp` function is used; those with a name inside are
entered: jit, checkpoint, scan, cond. Any other construct around a name is refused.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.errors import ArgumentError, ArgumentTypeError
from jaxninja.intermediates.names import describe, evaluate, find_names


def retain_grads(
    f: Callable[..., Any],
    *,
    cotangent: Any = None,
    has_aux: bool = False,
    values: bool = False,
) -> Callable[..., tuple]:
    """The value of f and its gradient with respect to every array that f names.

    grads[name] = dvalue / dname: the named array moves freely, and what f computes from
    it follows. Name h = jax.ad_checkpoint.checkpoint_name(h, "h"), and use that h.

    A name without influence has gradient zero. A scan (or `fori_loop` of fixed length)
    stacks its steps, [length, ...]; a vmap inside f adds its batch axis; in a cond the
    branch not taken has gradient and value zero, and branches may share a name. A name
    in a `jax.checkpoint` call is reached by running the call's body without it.

    Args:
        f: traced as by `jax.jit`; arguments that are not arrays stay as they are. An
            argument has a gradient only if f names it.
        cotangent: the weights of f's outputs, of their structure, shapes and dtypes;
            without it the value must be a real scalar.
        has_aux: f returns (value, aux), and aux is not differentiated.
        values: return the named arrays, too.

    Returns:
        A function of f's arguments that returns (value, grads), or (value, grads,
        named) with `values`; value is (value, aux) with `has_aux`.

    Raises:
        ValueError: no name; a name given twice; a name in a while loop, the body of a
            custom_vjp or custom_jvp function or another closed construct; the result of
            checkpoint_name not used, but its argument; a cotangent that does not fit.
        TypeError: the value is no real scalar, or a named array is not floating.
    """

    @functools.wraps(f)
    def retained(*args, **kwargs):
        run, names = _trace(f, args, kwargs)
        _check_differentiable(names)
        shifts = {name: jnp.zeros(n.shape, n.dtype) for name, n in names.items()}

        def shifted(shifts):
            out, named = run(shifts)
            value, aux = _split_aux(out) if has_aux else (out, None)
            return value, (aux, named)

        value, pull, (aux, named) = jax.vjp(shifted, shifts, has_aux=True)
        (grads,) = pull(_output_cotangent(value, cotangent))
        result = ((value, aux) if has_aux else value, _ordered(grads, names))
        return (*result, _ordered(named, names)) if values else result

    return retained


def named_values(f: Callable[..., Any]) -> Callable[..., tuple[Any, dict]]:
    """The value of f and every array that f names, integer ones included.

    Args: f, as for `retain_grads`, but with any output.
    Returns: a function of f's arguments that returns (value, {name: array}).
    Raises: ValueError for names as `retain_grads`, but a result may be left unused.
    """

    @functools.wraps(f)
    def valued(*args, **kwargs):
        run, names = _trace(f, args, kwargs)
        value, named = run({})
        return value, _ordered(named, names)

    return valued


def _trace(f, args, kwargs):
    """-> (run, names): run(shifts) returns the output of f and the named arrays."""
    args, kwargs = jax.tree.map(_as_array, (args, kwargs))
    traced, out = jax.make_jaxpr(lambda: f(*args, **kwargs), return_shape=True)()
    names = find_names(traced.jaxpr)
    if not names:
        raise ArgumentError(
            f"{getattr(f, '__name__', f)} names no array; name one with "
            'h = jax.ad_checkpoint.checkpoint_name(h, "h"), and go on with that h'
        )

    def run(shifts):
        flat, named = evaluate(traced.jaxpr, traced.consts, [], shifts)
        value = jax.tree.unflatten(jax.tree.structure(out), flat)
        return jax.tree.map(_as_typed, value, out), named

    return run, names


def _as_array(leaf):
    """NumPy arrays to JAX's, which a traced index can enter; anything else as it is."""
    foreign = hasattr(leaf, "__array__") and not isinstance(leaf, jax.Array)
    return jnp.asarray(leaf) if foreign else leaf


def _as_typed(leaf, like):
    """An array; a constant output of f is a number in its jaxpr, not an array."""
    return leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf, like.dtype)


def _check_differentiable(names):
    for name, named in names.items():
        if not jnp.issubdtype(named.dtype, jnp.inexact):
            raise ArgumentTypeError(
                f"the array named {name!r} at {named.where} is {named.dtype}, which "
                "has no gradient: leave it without a name, or read it with named_values"
            )
        if named.lost:
            raise ArgumentError(
                f"the name {name!r} at {named.where} is lost: f goes on with the array "
                "it gave to checkpoint_name, not with the result; write "
                f'{name} = checkpoint_name({name}, "{name}")'
            )


def _split_aux(out):
    if isinstance(out, tuple) and len(out) == 2:
        return out
    given = type(out).__name__
    raise ArgumentTypeError(f"with has_aux f must return (value, aux), not a {given}")


def _output_cotangent(value, cotangent):
    if cotangent is None:
        return _one(value)
    if not all(jnp.issubdtype(y.dtype, jnp.inexact) for y in jax.tree.leaves(value)):
        raise ArgumentTypeError(
            f"f returned {describe(value)}; only floating-point outputs have a "
            "cotangent: return the others as aux (has_aux=True)"
        )
    cotangent = jax.tree.map(jnp.asarray, cotangent)
    if describe(cotangent) != describe(value):
        raise ArgumentError(
            f"cotangent is {describe(cotangent)}, expected the structure, shapes and "
            f"dtypes of the value, {describe(value)}"
        )
    return cotangent


def _one(value):
    scalar = isinstance(value, jax.Array) and value.shape == ()
    if not (scalar and jnp.issubdtype(value.dtype, jnp.floating)):
        raise ArgumentTypeError(
            f"f returned {describe(value)}, and a gradient needs a real scalar: "
            "reduce it, give cotangent=, or return the rest as aux (has_aux=True)"
        )
    return jnp.ones_like(value)


def _ordered(by_name, names):
    """In the order of f, which a dict loses on its way through JAX."""
    return {name: by_name[name] for name in names}
