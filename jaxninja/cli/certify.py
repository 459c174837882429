"""`jaxninja certify`: a table of what is proved of every rule."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tqdm import tqdm

from jaxninja.check.properties.devices import ask_for_devices
from jaxninja.cli.check import DEVICES, EXIT, expect_seed
from jaxninja.mutation import certificate
from jaxninja.rules import RULES
from jaxninja.training.config import ConfigError
from jaxninja.training.devices import need_device


@dataclass(frozen=True)
class Certify:
    """Certify the rules: check each one, and check that its mutants are refused.

    Rounding against autodiff's, transformations, bytes kept, mutants of the backward
    pass that the checker refuses, the hash of the source. Exit codes as of `check`.
    """

    names: tuple[str, ...] = ()
    """Which rules; all by default."""
    level: Literal["quick", "standard", "full"] = "full"
    """How much to try of the rules; mutants are checked at level standard."""
    seed: int = 0
    """The same seed repeats the same checks."""
    mutants: int = 40
    """How many a rule, the kinds of mistake taking turns; 0 is all."""
    json: Path | None = None
    """Where to write the certificate as JSON."""
    markdown: Path | None = None
    """Where to write it as a table: between its marks if the file has them."""


def main(args: list[str]) -> int:
    options = tyro.cli(Certify, prog="jaxninja certify", args=args)
    expect_seed(options.seed)
    rules = _chosen(options.names)
    if options.level == "full":
        ask_for_devices(DEVICES)
    need_device()
    rows = []
    for rule in rules:
        with tqdm(desc=rule.name, unit=" checks", disable=None, leave=False) as bar:
            told = bar.update
            row = certificate.certify(
                rule, options.level, options.seed, options.mutants, told
            )
        rows.append(row)
        print(certificate.text([row]), end="\n\n", flush=True)
    _write(rows, options)
    verdicts = [row.verdict for row in rows]
    return next((EXIT[v] for v in ("fail", "not tested") if v in verdicts), 0)


def _write(rows: list[certificate.Row], options: Certify) -> None:
    if options.json:
        made = certificate.as_dict(rows, options.level, options.seed)
        options.json.write_text(json.dumps(made, indent=1) + "\n")
    if options.markdown:
        table = certificate.markdown(rows, "jaxninja/rules", options.level)
        certificate.put_into(options.markdown, table)


def _chosen(names: tuple[str, ...]) -> list:
    known = {rule.name: rule for rule in RULES}
    for name in names:
        if name not in known:
            raise ConfigError(f"no rule {name!r}, expected {', '.join(known)}")
    return [known[name] for name in names] or list(RULES)
