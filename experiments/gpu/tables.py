"""The rows as Markdown."""

from typing import Any


def report(results: dict[str, Any]) -> str:
    lines = ["# On a GPU", "", "Written by `python -m experiments.gpu`."]
    for name, measured in results.items():
        lines += ["", *part(name, measured)]
    return "\n".join(lines) + "\n"


def part(name: str, measured: dict[str, Any]) -> list[str]:
    """Heading, what went wrong, and a table whose columns are those of its rows."""
    lines = [f"## {name[0].upper()}{name[1:]}"]
    lines.append(f"{measured['seconds']:.0f} s, {measured['date']}.")
    if measured["failed"]:
        lines.append(f"**{measured['failed']}**; what was measured until then:")
    rows = measured["rows"]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return lines
    lines += ["", _line(columns), "|---" * len(columns) + "|"]
    return lines + [_line([_cell(row.get(key, "")) for key in columns]) for row in rows]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    """A number to three digits, or all of them where they are more."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
