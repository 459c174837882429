"""The report as an HTML table for notebooks; it reads without colour."""

from html import escape

from jaxninja.check.report import Leaf, Report, hint_lines

_MARK = {"ok": "✓ ok", "fail": "✗ fail", "not tested": "? not tested"}
_HEAD = (
    *("gradient", "shape", "dtype", "verdict", "rel. error", "worst", "/ autodiff"),
    "note",
)


def page(report: Report) -> str:
    """A table, a row a leaf; heat maps of the failing ones; findings and hints."""
    head = "".join(f"<th style='text-align:left'>{h}</th>" for h in _HEAD)
    rows = "".join(map(_row, report.leaves))
    title = f"<b>{escape(report.name)}</b>: {report.verdict}"
    texts = [str(f) for f in report.findings]
    texts += [" ".join(map(str.strip, hint_lines([hint]))) for hint in report.hints]
    texts += [f"not tested: {t}" for t in report.not_tested]
    texts.append(str(report.coverage))
    notes = "".join(f"<li>{escape(t)}</li>" for t in texts)
    return f"<div>{title}<table><tr>{head}</tr>{rows}</table><ul>{notes}</ul></div>"


def _row(leaf: Leaf) -> str:
    failed = leaf.verdict == "fail" and bool(leaf.sample)
    worst = (
        f"{list(leaf.worst)}: {leaf.got:.4g}, not {leaf.expected:.4g}" if failed else ""
    )
    # of a wrong gradient the ratio says nothing
    held = {} if leaf.verdict == "fail" else leaf.ratios
    ratio = ", ".join(f"{dtype} {r:.2f}" for dtype, r in held.items())
    verdict = _MARK.get(leaf.verdict, leaf.verdict)
    relative = f"{leaf.relative:.1e}"
    note = ", ".join(filter(None, (leaf.sample if failed else "", leaf.note)))
    cells = (leaf.name, leaf.shape, leaf.dtype, verdict, relative, worst, ratio, note)
    style = " style='font-weight:bold'" if failed else ""
    row = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f"<tr{style}>{row}</tr>{_heat(leaf)}"


def _heat(leaf: Leaf) -> str:
    """Where the error lies: characters of growing weight, and a legend in words."""
    if not leaf.heat:
        return ""
    rows = "\n".join(map(escape, leaf.heat))
    legend = "error of each entry: · within tolerance, █ the largest"
    return (
        f"<tr><td colspan='{len(_HEAD)}'><pre style='line-height:1'>{rows}</pre>"
        f"{legend}</td></tr>"
    )
