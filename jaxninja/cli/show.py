"""`jaxninja show NAME`: a rule, a model or a route, as its file explains it."""

import inspect
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.errors import UserError, expected_one_of
from jaxninja.models import ninja
from jaxninja.models.by_hand import ninja as by_hand
from jaxninja.models.network import PAGES, Page
from jaxninja.rules import RULES


@dataclass(frozen=True)
class Show:
    """Print a rule: derivation, forward, backward and forward mode. Or a model: its
    page, and its whole backward pass by hand.

    Example: jaxninja show batchnorm

    Attributes:
        name: A rule, as `jaxninja rules` lists them; a model, as `train --model` has
            them; or a route of the lecture's network: network, rules, autodiff.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


def main(args: list[str]) -> int:
    name = parsed(Show, "show", args).name
    rules = {rule.name: rule for rule in RULES}
    if name in rules:
        _show_rule(rules[name])
    if name in PAGES:  # rnn is both a rule and a model
        print("\n" if name in rules else "", end="")
        _show_model(PAGES[name])
    elif name == "network":
        _show(by_hand, [by_hand.value_and_grad])
    elif name in ("rules", "autodiff"):
        _show(ninja, [ninja.hidden_preactivation, ninja.loss, ninja.head_loss])
    elif name not in rules:
        known = list(dict.fromkeys([*rules, *PAGES, "network", "rules", "autodiff"]))
        raise UserError(f"no rule or model {name!r}{expected_one_of(name, known)}")
    return 0


def _show_rule(rule: Any) -> None:
    module = sys.modules[rule.fwd.__module__]
    kept = getattr(module, "Residuals", None)  # some keep nothing
    parts = (kept, rule.op, rule.fwd, rule.bwd, rule.jvp)
    _show(module, [part for part in parts if part])


def _show_model(page: Page) -> None:
    """Everything that its two files define, in their order."""
    _show(page.module, _defined(page.module))
    if page.by_hand:
        print("\n")
        _show(page.by_hand, _defined(page.by_hand))


def _defined(module: ModuleType) -> list[Any]:
    parts = [inspect.unwrap(p) if callable(p) else p for p in vars(module).values()]
    own = [p for p in parts if inspect.isfunction(p) or inspect.isclass(p)]
    here = [p for p in own if p.__module__ == module.__name__]
    return sorted(here, key=lambda part: inspect.getsourcelines(part)[1])


def _show(module: ModuleType, parts: list[Any]) -> None:
    print(f"# {module.__name__}\n")
    print(inspect.getdoc(module), end="\n\n\n")
    print(
        "\n\n".join(inspect.getsource(inspect.unwrap(part)) for part in parts), end=""
    )
