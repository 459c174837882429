"""All single edits of one backward pass, found by tracing it once."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, wraps
from typing import NamedTuple

import jax

from jaxninja.mutation import leaf_operators, operators
from jaxninja.mutation.rewrite import Edit, Site, run_backward, sites, trace


class Change(NamedTuple):
    """An edit of a backward pass.

    Attributes:
        edit: what is done, and where.
        truth: the class of mistake, as a checker may call it.
        order: 2 if only second derivatives become wrong.
    """

    edit: Edit
    truth: str
    order: int = 1


def changes(bwd: Callable, static: tuple, residuals, dy) -> Iterator[Change]:
    """Every edit that may apply to `bwd(*static, residuals, dy)` at these shapes.

    Equations first, then residuals, the cotangent and the returned gradients; always
    in the same order.
    """
    closed = trace(bwd, static, residuals, dy).closed
    found = list(sites(closed.jaxpr, bwd.__code__.co_filename))
    for site in found:
        yield from _of_equation(site)
    res, cotangents = jax.tree.leaves(residuals), jax.tree.leaves(dy)
    invars = closed.jaxpr.invars
    readers = [_lines(s for s in found if var in s.eqn.invars) for var in invars]
    yield from _of_residuals(res, readers)
    yield from _of_cotangents(len(cotangents), readers[len(res) :])
    for i, var in enumerate(closed.jaxpr.outvars):
        made = _lines(s for s in found if var in s.eqn.outvars)
        for op in leaf_operators.OUTPUT_OPERATORS:
            yield _of_leaf(op, "output", i, made | _returns(bwd))


def with_edits(bwd: Callable, edits) -> Callable:
    """`bwd` with the edits made in it, at any shapes and under any transformation."""

    @wraps(bwd)
    def wrong(*args):
        *static, residuals, dy = args
        return run_backward(bwd, tuple(static), residuals, dy, edits)

    return wrong


def _of_equation(site: Site) -> Iterator[Change]:
    floating = operators.is_float(site.eqn.outvars[0].aval)
    for op in operators.EQUATION_OPERATORS:
        if site.name not in op.primitives and not (floating and op.primitives == ()):
            continue
        for variant in range(op.variants):
            where = (site.name, site.occurrence, variant)
            lines = frozenset({site.line} - {0})
            change = _variant(op, variant)
            yield Change(Edit(op.name, "equation", where, change, lines), op.truth)


def _variant(op, number: int) -> Callable:
    """Which operand, branch or term: the last parameter of the operator's change."""
    if op.variants == 1:
        return op.change
    code = op.change.__code__
    last = code.co_varnames[code.co_argcount - 1]
    return partial(op.change, **{last: number})


def _of_residuals(res, readers) -> Iterator[Change]:
    for i in (i for i, a in enumerate(res) if operators.is_float(a)):
        for op in leaf_operators.RESIDUAL_OPERATORS:
            yield _of_leaf(op, "residual", i, readers[i])
        for op in leaf_operators.SECOND_ORDER_OPERATORS:
            yield _of_leaf(op, "residual", i, readers[i])._replace(order=2)


def _of_cotangents(count: int, readers) -> Iterator[Change]:
    for op in leaf_operators.COTANGENT_OPERATORS:
        yield _of_leaf(op, "cotangent", 0, frozenset().union(*readers))
    for i in range(count if count > 1 else 0):
        for op in leaf_operators.ONE_COTANGENT_OPERATORS:
            yield _of_leaf(op, "cotangent", i, readers[i])


def _of_leaf(op, place: str, leaf: int, lines) -> Change:
    change = partial(op.change, leaf=leaf)
    return Change(Edit(op.name, place, (place, leaf), change, lines), op.truth)


def _lines(found) -> frozenset[int]:
    return frozenset(site.line for site in found) - {0}


@lru_cache(maxsize=256)
def _returns(function) -> frozenset[int]:
    """Lines of the function that hold a return statement; none without its source."""
    try:
        source, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, SyntaxError):
        return frozenset()
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Return)]
    return frozenset(
        first - 1 + line
        for n in found
        for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)
    )
