"""How far is an iteration within the reference from having settled at these inputs?

A fixed point found in 60 steps is one only where 60 steps are enough. What a rule says
of it by the implicit function theorem is then right, and autodiff of the steps is off
by about what one more step would change.

A loop of Python leaves its steps written out: the same equation of the same line, again
and again. Layers do so too, and never settle, so that nothing is said of them; nor of a
loop over time, where each step reads another number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal, jaxpr_as_fun, jaxprs_in_params

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.control_flow import noted
from jaxninja.check.subject.plain_forward import opened, user_frame
from jaxninja.check.subject.pytrees import cast, is_float
from jaxninja.jaxpr import CALLS, bind, closed, equations, scan_parts

SETTLED = 1e-4  # change by one more step, relative to what is iterated
LEAST = 1e-12
SMALL = 1e-13, 1e-2  # changes on the way there: what is masked out stays at once
NEARBY = 1e-3  # of the largest entry
REPEATS = 3  # of what a line does, which make it a loop of Python
LONGEST = 16  # equations of a line


def unrest_at(there: tuple, here: tuple) -> float:
    """By how much one more step changes the iterations that settle at the example; inf
    where one of them does not settle here, which is ten times as much.

    Args:
        there, here: (plain forward, arguments) of the example, and of what is judged:
            the static options may be others.
    """
    with jax.enable_x64(True):
        try:
            with running("the plain forward"):
                before, now, nearby = (
                    np.asarray(_unrest(plain)(*cast(args, "float64")))
                    for plain, args in (there, here, (here[0], _moved(here[1])))
                )
        except UserCodeError:
            return 0.0
    if before.shape != now.shape:
        return 0.0
    now = np.maximum(now, nearby)  # at its solution it is settled, its slope is not
    nearing, last = before.T
    settled = (last <= SETTLED) & (nearing == 1)
    now = np.where(now[:, 1] <= np.maximum(LEAST, 10 * last), now[:, 1], np.inf)
    return float(np.max(now[settled], initial=0.0))


def _moved(args: tuple) -> tuple:
    """Inputs a little away, where no iteration starts at its solution."""

    def move(leaf):
        if kind_of(leaf) not in ("real", "positive") or not np.size(leaf):
            return leaf
        size = float(np.max(np.abs(leaf), where=np.isfinite(leaf), initial=0.0)) or 1.0
        return leaf + np.asarray(NEARBY * size, leaf.dtype)

    return jax.tree.map(move, args)


@lru_cache(maxsize=128)
def _unrest(plain) -> Callable:
    """[K, 2]: of each number that is iterated, whether it came nearer and nearer, and
    by how much one more step changes it."""

    def run(*args):
        found: list = []
        written: dict[tuple, list] = defaultdict(list)
        opened(plain, _watch(found, written))(*args)
        loops = (outs for done in written.values() for outs in _repeated(done))
        rows = [*(row for row, _ in found), *map(_nearing, loops)]
        return jnp.stack(rows) if rows else jnp.zeros((0, 2))

    return compiled(run)


def _watch(found: list, written: dict | None = None) -> Callable:
    """A step that notes what iterates, and what each line writes out."""
    lines = defaultdict(list) if written is None else written

    def step(eqn, ins):
        if eqn.primitive in CALLS:
            return None
        if _iterates_within(eqn):
            outs, inside = noted(eqn, ins, _watch, None)
            found.extend((_worst(rows), None) for rows, _ in inside)
        else:
            outs = bind(eqn, ins)
        if _iterates(eqn):
            found.extend((row, None) for row in _changes(eqn, ins, outs))
        elif outs and is_float(outs[0]) and (line := user_frame(eqn)):
            lines[line].append((_form(eqn), outs[0]))
        return outs

    return step


def _iterates_within(eqn) -> bool:
    """A loop, over time say, each step of which has an iteration of its own."""
    if eqn.primitive.name != "scan" or not eqn.params["length"]:
        return False
    return any(map(_iterates, equations(closed(eqn.params["jaxpr"]).jaxpr)))


def _worst(rows):
    """Of the steps of such a loop, [T, 2]."""
    return jnp.stack([rows[:, 0].min(), rows[:, 1].max()])


def _form(eqn) -> tuple:
    """What an equation has in common with its repetitions."""
    return eqn.primitive.name, *(v.aval.ndim for v in (*eqn.invars, *eqn.outvars))


def _repeated(done: list[tuple]) -> Iterator[list]:
    """Of what a line did in its order, (form, value) each: the values of one equation
    at each of its repetitions. Where all forms are equal it may be several."""
    forms = [form for form, _ in done]
    for period in range(1, min(LONGEST, len(done) // REPEATS) + 1):
        start = len(done) % period
        if forms[start:-period] == forms[start + period :]:
            for first in range(start, start + period):
                yield [value for _, value in done[first::period]]
            if len({*forms[start:]}) > 1:
                return


def _iterates(eqn) -> bool:
    """A loop over a carry alone: nothing else is fed to it but a counter, by which it
    reads nothing."""
    if eqn.primitive.name == "while":
        inner, consts = eqn.params["body_jaxpr"], eqn.params["body_nconsts"]
    elif eqn.primitive.name == "scan":
        consts, carry = scan_parts(eqn)
        xs = eqn.invars[consts + carry :]
        if not carry or any(is_float(v.aval) for v in xs):
            return False
        inner = eqn.params["jaxpr"]
    else:
        return False
    return not _reads_by(closed(inner).jaxpr, consts)


def _reads_by(jaxpr, consts: int) -> bool:
    """Whether what a loop reads depends on a whole number that it carries; the pivots
    of a matrix are none."""
    counts = {v for v in jaxpr.invars[consts:] if not is_float(v.aval)}
    for eqn in jaxpr.eqns:
        if counts.isdisjoint(v for v in eqn.invars if not isinstance(v, Literal)):
            continue
        inner = map(equations, jaxprs_in_params(eqn.params))
        names = {e.primitive.name for e in (eqn, *chain(*inner))}
        if names & {"dynamic_slice", "gather"}:
            return True
        counts |= {v for v in eqn.outvars if not is_float(v.aval)}
    return False


def _changes(eqn, ins: list, outs: list) -> list:
    """Of each float that a loop carries."""
    p = eqn.params
    if eqn.primitive.name == "while":
        first, count = p["cond_nconsts"] + p["body_nconsts"], len(outs)
        fixed, xs, inner = ins[p["cond_nconsts"] : first], [], p["body_jaxpr"]
    else:
        first, count = scan_parts(eqn)
        fixed, inner = ins[:first], p["jaxpr"]
        xs = [x[-1] for x in ins[first + count :]]
    run, start, last = jaxpr_as_fun(closed(inner)), ins[first:][:count], outs[:count]
    further = run(*fixed, *last, *xs)[:count]
    rows = zip(start, last, further, strict=True)
    return [_row(1.0, _steps([a, b, c])[-1]) for a, b, c in rows if is_float(b)]


def _nearing(outs: list):
    steps = _steps(outs)
    least, most = SMALL
    return _row(((steps > least) & (steps <= most)).any(), steps[-1])


def _row(*parts):
    return jnp.stack([jnp.asarray(part, float) for part in parts])


def _steps(values: list):
    """By how much each value differs from the one before, relative to the largest."""
    values = list(map(jnp.asarray, values))
    if any(a.shape != values[0].shape for a in values):
        return jnp.full(len(values) - 1, jnp.inf)
    stacked = jnp.stack(values)
    size = jnp.max(jnp.abs(stacked), initial=jnp.finfo(stacked.dtype).tiny)
    changes = jnp.abs(jnp.diff(stacked, axis=0)).reshape(len(values) - 1, -1)
    return jnp.nan_to_num(jnp.max(changes, -1, initial=0) / size, nan=jnp.inf)
