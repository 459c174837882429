"""What a backward pass keeps: each array that waits in memory for it, and its price.

`jax.vjp` is traced, not run. The arrays that its pullback holds are outputs of that
trace; the equation that makes one has the line of code, and the equations between it
and the arguments or other kept arrays are what computing it anew would take.
"""

import linecache
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from jaxninja.check.errors import running
from jaxninja.check.subject.plain_forward import evaluate, opened, user_frame
from jaxninja.check.subject.pytrees import float_leaves, with_floats
from jaxninja.errors import ArgumentTypeError
from jaxninja.jaxpr import bind
from jaxninja.rule import Rule

SAME_NUMBERS = ("reshape", "squeeze", "expand_dims", "broadcast_in_dim")


@dataclass(frozen=True)
class Array:
    """An array that waits between forward and backward.

    Attributes:
        shape, dtype, bytes: of it.
        role: "argument" or "output" of the function (it may be in memory anyway),
            "constant" (captured), or "computed".
        where: "file:line" of the user's code that makes it, None of an argument.
        code: the text of that line.
        flops: to compute it anew from the arguments and what else is kept, by XLA's
            analysis, in which a loop's body counts once; None where it has none.
    """

    shape: tuple[int, ...]
    dtype: str
    bytes: int
    role: str
    where: str | None = None
    code: str = ""
    flops: float | None = None


@dataclass(frozen=True)
class Kept:
    """Of one function: what its backward pass keeps, and what autodiff's would."""

    name: str
    arrays: tuple[Array, ...]
    autodiff: tuple[Array, ...]

    @property
    def bytes(self) -> int:
        return total(self.arrays)

    @property
    def autodiff_bytes(self) -> int:
        return total(self.autodiff)

    def table(self) -> str:
        """For a terminal: an array a line, the largest first, autodiff's below."""
        lines = [f"{self.name} keeps {self.bytes:,} B for its backward pass"]
        lines += _lines(self.arrays)
        lines.append(f"autodiff would keep {self.autodiff_bytes:,} B")
        return "\n".join([*lines, *_lines(self.autodiff)])

    def __str__(self) -> str:
        return self.table()


def residuals_of(f: Any, *args: Any) -> Kept:
    """Each array that waits between the forward and the backward pass of `f(*args)`.

    Args:
        f: any function that JAX can differentiate, a whole model too; a
            `jax.custom_vjp` function, or a `Rule` (by itself at its benchmark size).
        args: arguments, pytrees of arrays or of `jax.ShapeDtypeStruct`, since nothing
            is computed; what is no array is static.

    Returns:
        `Kept`: the arrays, and those of the same function with every hand-written rule
        left to autodiff.

    Raises:
        TypeError: f is no function, or no argument has a gradient. UserCodeError: f
            raises, or cannot be traced.
    """
    name = getattr(f, "name", None) or getattr(f, "__name__", type(f).__name__)
    if isinstance(f, Rule):
        args = args or _bench(f)
        plain, f = f.reference, f.op
    elif callable(f):
        plain = f
    else:
        raise ArgumentTypeError(
            f"residuals_of: {f!r} is of type {type(f).__name__}, expected a function "
            "or a jaxninja Rule"
        )
    f, arrays = _bound(f, args)
    if not float_leaves(arrays):
        raise ArgumentTypeError(
            f"residuals_of: no argument of {name} is a floating-point array"
        )
    mine = kept(f, arrays, name, flops=True)
    theirs = kept(opened(_bound(plain, args)[0]), arrays, name, flops=True)
    return Kept(name, mine, theirs)


def kept(f: Callable, args: tuple, name: str, flops: bool = False) -> tuple[Array, ...]:
    """What the pullback of `f` at `args` holds, the largest first, each array once."""
    leaves, tree = jax.tree.flatten(args)
    avals = [
        jax.ShapeDtypeStruct(jnp.shape(a), jax.dtypes.result_type(a)) for a in leaves
    ]

    def pull(*leaves):
        given = tree.unflatten(leaves)
        rule = lambda *fs: float_leaves(f(*with_floats(given, fs)))  # noqa: E731
        return jax.vjp(rule, *float_leaves(given))

    with running(name):
        closed, shape = jax.make_jaxpr(pull, return_shape=True)(*avals)
    flat = jax.make_jaxpr(lambda *a: evaluate(closed, a))(*avals)
    outputs = flat.jaxpr.outvars
    count = len(jax.tree.leaves(shape[0]))
    makers = {v: eqn for eqn in flat.jaxpr.eqns for v in eqn.outvars}
    waiting = (_reshaped_from(v, makers) for v in _variables(outputs[count:]))
    held = [v for v in dict.fromkeys(waiting) if v.aval.size]
    found = [_array(v, flat.jaxpr, outputs[:count]) for v in held]
    if flops:
        prices = (_flops(v, flat.jaxpr, {*held} - {v}) for v in held)
        found = [replace(a, flops=p) for a, p in zip(found, prices, strict=True)]
    return tuple(sorted(found, key=lambda array: -array.bytes))


def total(arrays: tuple[Array, ...]) -> int:
    """Bytes of all of them."""
    return sum(array.bytes for array in arrays)


def _bound(f: Callable, args: tuple) -> tuple[Callable, tuple]:
    """The function of its arrays alone, within pytrees too, and these."""
    leaves, tree = jax.tree.flatten(args)
    places = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]

    def g(*arrays):
        full = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            full[i] = array
        return f(*tree.unflatten(full))

    return g, tuple(leaves[i] for i in places)


def _is_array(leaf) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _bench(rule: Rule) -> tuple:
    make = lambda: rule.example(jax.random.key(0), **rule.bench.dims)  # noqa: E731
    return tuple(rule.arranged(jax.eval_shape(make), rule.bench.static))


def _reshaped_from(var, makers: dict):
    """The array of which `var` is the same numbers in another shape, or itself."""
    while var in makers and makers[var].primitive.name in SAME_NUMBERS:
        (before,) = makers[var].invars
        if isinstance(before, Literal) or before.aval.size != var.aval.size:
            break
        var = before
    return var


def _variables(atoms) -> list:
    return [v for v in atoms if not isinstance(v, Literal)]


def _array(var, jaxpr, outputs) -> Array:
    aval = var.aval
    size = int(aval.size * getattr(aval.dtype, "itemsize", 4))
    described = tuple(aval.shape), str(aval.dtype), size
    if var in jaxpr.invars:
        return Array(*described, "argument")
    if var in jaxpr.constvars:
        return Array(*described, "constant")
    maker = next(eqn for eqn in jaxpr.eqns if var in eqn.outvars)
    role = "output" if var in outputs else "computed"
    frame = user_frame(_within(maker, var))
    if frame is None:
        return Array(*described, role)
    file, line = frame
    where = f"{file.rsplit('/', 1)[-1]}:{line}"
    return Array(*described, role, where, linecache.getline(file, line).strip())


def _within(eqn, var):
    """The equation in the body of a scan that makes what it stacks up, however deep."""
    while eqn.primitive.name == "scan":
        body = eqn.params["jaxpr"].jaxpr
        inner = body.outvars[list(eqn.outvars).index(var)]
        makers = [e for e in body.eqns if inner in e.outvars]
        if not makers:
            break
        eqn, var = makers[0], inner
    return eqn


def _flops(var, jaxpr, others: set) -> float | None:
    """To compute `var` from the arguments and the others that are kept."""
    needed, wanted, stops = [], {var}, set()
    for eqn in reversed(jaxpr.eqns):
        if wanted & {*eqn.outvars}:
            needed.append(eqn)
            inputs = {*_variables(eqn.invars)}
            stops |= inputs & others
            wanted |= inputs - others
    if not needed:
        return 0.0
    made = {v for eqn in needed for v in eqn.outvars}
    start = [*stops, *(v for v in wanted - {var} if v not in made)]

    def anew(*values):
        env = dict(zip(start, values, strict=True))
        for eqn in reversed(needed):
            ins = [v.val if isinstance(v, Literal) else env[v] for v in eqn.invars]
            env |= {
                v: out
                for v, out in zip(eqn.outvars, bind(eqn, ins), strict=True)
                if v not in stops
            }
        return env[var]

    avals = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in start]
    costs = jax.jit(anew).lower(*avals).cost_analysis()
    return None if not costs else costs.get("flops", 0.0)


def _lines(arrays: tuple[Array, ...]) -> list[str]:
    """Columns: bytes, shape, FLOPs to compute it anew, role or line."""
    rows = [
        (f"{a.bytes:,} B", f"{a.dtype}{list(a.shape)}", _price(a), _origin(a))
        for a in arrays
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(c.rjust(w) if i in (0, 2) else c.ljust(w)
                         for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        .rstrip()
        for row in rows
    ]  # fmt: skip


def _price(array: Array) -> str:
    if array.role in ("argument", "constant"):
        return array.role
    return "-" if array.flops is None else f"{array.flops:,.0f} FLOPs"


def _origin(array: Array) -> str:
    output = "(output) " if array.role == "output" else ""
    return f"{output}{array.where}  {array.code}" if array.where else output
