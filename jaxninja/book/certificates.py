"""The certificate of the rules, where it is there, and whether it still holds."""

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import jaxninja
from jaxninja.book import frame
from jaxninja.mutation.certificate import source_hash
from jaxninja.rule import Rule

_PACKAGE = Path(jaxninja.__file__).parent
# in a checkout, and in an installed package
_PLACES = (
    _PACKAGE.parent / "experiments" / "certificate.json",
    _PACKAGE / "_data" / "certificate.json",
)


@cache
def certificate() -> dict[str, Any]:
    """Environment and rows of the certificate; empty where there is none."""
    for place in _PLACES:
        if place.is_file():
            return json.loads(place.read_text(encoding="utf-8"))
    return {"rules": [], "environment": {}, "level": ""}


def row_of(rule: Rule) -> dict[str, Any] | None:
    """What is certified of a rule, or None."""
    rows = {row["name"]: row for row in certificate()["rules"]}
    return rows.get(rule.name)


def section(rule: Rule) -> str:
    """The certificate of a rule as HTML."""
    row = row_of(rule)
    if row is None:
        return (
            "<p>This rule has no certificate here. <code>jaxninja certify</code> "
            f"makes one; <code>jaxninja check {rule.name}</code> checks it now.</p>"
        )
    return _stand(rule, row) + _figures(row) + _transformations(row)


def _stand(rule: Rule, row: dict[str, Any]) -> str:
    world = certificate()["environment"]
    made = f"JAX {world['jax']}, Python {world['python']}, {world['backend']}"
    text = f"Checked at level {escape(certificate()['level'])} with {escape(made)}. "
    if source_hash(rule) == row["hash"]:
        text += f"The source is the one that was certified, <code>{row['hash']}</code>."
    else:
        text += "The source has changed since: this certificate is of another one."
    return f"<p>{text}</p>"


def _figures(row: dict[str, Any]) -> str:
    ratios = ", ".join(
        f"{ratio:.2f} in {name}" for name, ratio in row["ratios"].items()
    )
    rows = [
        ("Verdict", escape(row["verdict"])),
        ("Wrong versions of its backward that were refused", _killed(row)),
        ("Rounding error over autodiff's, of its worst gradient", ratios),
    ]
    if row["not_tested"]:
        rows.append(("Not tested", escape("; ".join(row["not_tested"]))))
    if row["why"]:
        rows.append(("Where it is behind autodiff", escape(row["why"])))
    return frame.table(("what", "found"), rows)


def _killed(row: dict[str, Any]) -> str:
    text = f"{row['killed']} of {row['mutants']}"
    return text + escape(
        f"; not {', '.join(row['survivors'])}" * bool(row["survivors"])
    )


def _transformations(row: dict[str, Any]) -> str:
    return "<p>Right under these transformations:</p>" + frame.chips(
        row["transformations"]
    )
