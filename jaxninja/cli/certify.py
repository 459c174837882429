"""`jaxninja certify`: a table of what is proved of every rule."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

from jaxninja import rules
from jaxninja.check.properties.devices import ask_for_devices
from jaxninja.cli.check import DEVICES, EXIT, expect_seed
from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.lines import show
from jaxninja.errors import expected_one_of
from jaxninja.mutation import certificate
from jaxninja.rule import Rule
from jaxninja.rules import RULES
from jaxninja.storage import atomic
from jaxninja.training.config import ConfigError
from jaxninja.training.machine.devices import need_device

RULES_FOLDER = Path(rules.__file__).parent


@dataclass(frozen=True)
class Certify:
    """Certify the rules: check each one, and check that its mutants are refused.

    Rounding against autodiff's, transformations, bytes kept, mutants of the backward
    pass that the checker refuses, the hash of the source. Exit codes as of `check`.

    Example: jaxninja certify softmax tanh --markdown certificate.md

    Attributes:
        changed: Check only rules whose source is not the one certified in the file
            which --json names; the others keep their rows, unless level, seed, mutants
            or environment are not the file's. It is written after each rule, so that a
            run which was stopped goes on.
    """

    names: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")
    ] = ()
    """Which rules of jaxninja.rules; all by default. Of your own: jaxninja check."""
    level: Literal["quick", "standard", "full"] = "full"
    """How much to try of the rules; mutants are checked at level standard."""
    seed: int = 0
    """The same seed repeats the same checks."""
    mutants: int = 40
    """How many a rule, the kinds of mistake taking turns; 0 is all."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the certificate as JSON."""
    markdown: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write it as a table: between its marks if the file has them."""
    short: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write a table of a few rules, with a link to that of --markdown."""
    changed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(args: list[str]) -> int:
    options = parsed(Certify, "certify", args)
    expect_seed(options.seed)
    rules = _chosen(options.names)
    file = _certificate(options)
    if options.level == "full":
        ask_for_devices(DEVICES)
    need_device()
    made = certificate.conditions(options.level, options.seed, options.mutants)
    rows = _kept(file, made) if file else {}
    for rule in rules:
        before = rows.get(rule.name)
        if before is None or before.hash != certificate.source_hash(rule):
            rows[rule.name] = row = _certified(rule, options)
            show(f"{certificate.text([row])}\n")
            _write(_in_order(rows), made, options)
    _write(_in_order(rows), made, options)
    verdicts = [rows[rule.name].verdict for rule in rules]
    return next((EXIT[v] for v in ("fail", "not tested") if v in verdicts), 0)


def _certified(rule: Rule, options: Certify) -> certificate.Row:
    with tqdm(desc=rule.name, unit=" checks", disable=None, leave=False) as bar:
        of = options.level, options.seed, options.mutants
        return certificate.certify(rule, *of, bar.update)


def _in_order(rows: dict[str, certificate.Row]) -> list[certificate.Row]:
    """As in the catalogue; a rule that is no longer in it has no row."""
    return [rows[rule.name] for rule in RULES if rule.name in rows]


def _write(rows: list[certificate.Row], made: dict[str, Any], options: Certify) -> None:
    if options.json:
        atomic.write_text(options.json, certificate.to_json(rows, made))
    if options.markdown:
        folder = _from(options.markdown, RULES_FOLDER)
        table = certificate.markdown(rows, folder, made)
        _put_into(options.markdown, table)
    if options.short and options.markdown:
        folder = _from(options.short, RULES_FOLDER)
        whole = _from(options.short, options.markdown)
        _put_into(options.short, certificate.short(rows, folder, whole))


def _put_into(file: Path, table: str) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    atomic.write_text(file, certificate.put_into(before, table))


def _from(file: Path, target: Path) -> str:
    """The path of a link in `file`."""
    return Path(os.path.relpath(target.resolve(), file.resolve().parent)).as_posix()


def _certificate(options: Certify) -> Path | None:
    """The file whose rows need not be made anew, if there is one."""
    if options.short and not options.markdown:
        raise ConfigError("--short links to the table of --markdown: give that too")
    if options.changed and options.json is None:
        raise ConfigError("--changed needs --json, the certificate to compare with")
    there = options.changed and options.json is not None and options.json.exists()
    return options.json if there else None


def _kept(file: Path, made: dict[str, Any]) -> dict[str, certificate.Row]:
    """The rows of a file by name; of other conditions than those of now, none."""
    try:
        before, rows = certificate.read(file)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is no certificate: {error}") from None
    other = [name for name in made if made[name] != before.get(name)]
    if other:
        show(f"{file} was made with other {', '.join(other)}: no row of it is kept\n")
        return {}
    return {row.name: row for row in rows}


def _chosen(names: tuple[str, ...]) -> list:
    known = {rule.name: rule for rule in RULES}
    for name in names:
        if name not in known:
            expected = expected_one_of(name, known)
            raise ConfigError(f"no rule {name!r} in jaxninja.rules{expected}")
    return [known[name] for name in names] or list(RULES)
