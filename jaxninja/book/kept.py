"""What a rule keeps for its backward pass, as bars and a table; nothing is computed."""

from html import escape
from typing import NamedTuple

from jaxninja.book import frame
from jaxninja.check.subject.kept_arrays import Array, kept, total
from jaxninja.check.subject.residuals import bench_arrays
from jaxninja.rule import Case, Rule, shown


class Both(NamedTuple):
    """The arrays that the rule keeps, and autodiff's of the same forward."""

    mine: tuple[Array, ...]
    theirs: tuple[Array, ...]


def of(rule: Rule) -> Both:
    """At the rule's large size."""
    arrays, static = bench_arrays(rule), rule.bench.static

    def of_one(f):
        return kept(lambda *a: f(*rule.arranged(a, static)), arrays, rule.name)

    return Both(of_one(rule.op), of_one(rule.reference))


def section(rule: Rule, both: Both) -> str:
    """Two bars over each other, and a table of the arrays."""
    return (
        f"<p>At {escape(at(rule.bench))}, a segment an array. What autodiff keeps is "
        "that of the same forward pass, left to JAX.</p>"
        + _bars(both)
        + f'<div class="beside"><div>{_table("By hand", both.mine)}</div>'
        + f"<div>{_table('Autodiff', both.theirs)}</div></div>"
    )


def at(case: Case) -> str:
    """Sizes and options, as a sentence has them."""
    sizes = ", ".join(f"{k} = {v:,}" for k, v in case.dims.items())
    options = ", ".join(map(shown, case.static))
    return sizes + (f" and the options {options}" if options else "")


def _bars(both: Both) -> str:
    most = max(total(both.mine), total(both.theirs), 1)
    lines = []
    for name, kind, arrays in (
        ("by hand", "bar", both.mine),
        ("autodiff", "bar theirs", both.theirs),
    ):
        lines.append(f"<span>{name}</span>{_bar(kind, arrays, most)}")
        lines.append(f'<span class="number">{bytes_of(total(arrays))}</span>')
    return f'<div class="bars">{"".join(lines)}</div>'


def _bar(kind: str, arrays: tuple[Array, ...], most: int) -> str:
    parts = [
        f'<i style="width: {100 * a.bytes / most:.3f}%" title="{escape(_what(a))}"></i>'
        for a in arrays
    ]
    return f'<div class="{kind}">{"".join(parts)}</div>'


def small(both: Both) -> str:
    """Two thin bars, for a table of all rules."""
    most = max(total(both.mine), total(both.theirs), 1)
    return _bar("bar", both.mine, most) + _bar("bar theirs", both.theirs, most)


def _table(title: str, arrays: tuple[Array, ...]) -> str:
    if not arrays:
        return f"<h3>{title}</h3><p>Nothing is kept.</p>"
    rows = [
        (f"<code>{escape(_what(a))}</code>", bytes_of(a.bytes), _origin(a))
        for a in arrays
    ]
    return f"<h3>{title}</h3>" + frame.table(
        ("array", "bytes#", "made by"), rows, "kept"
    )


def _what(array: Array) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"


def _origin(array: Array) -> str:
    if not array.where:
        said = {"argument": "an argument, in memory anyway", "output": "the output"}
        return said.get(array.role, array.role)
    output = "the output: " if array.role == "output" else ""
    return f"{output}<code>{escape(array.code)}</code> {escape(array.where)}"


def bytes_of(size: int) -> str:
    """Bytes in a unit that reads well."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:,.4g} {unit}"
    return f"{size:,} B"
