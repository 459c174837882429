"""`jaxninja show NAME`: a rule or the network, as its file explains it."""

import inspect
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxninja.errors import UserError, did_you_mean
from jaxninja.models import ninja
from jaxninja.models.by_hand import ninja as by_hand
from jaxninja.rules import RULES


@dataclass(frozen=True)
class Show:
    """Print derivation, forward, backward and forward mode."""

    name: Annotated[str, tyro.conf.Positional]
    """A rule, as `jaxninja rules` lists them, or a route of the network:
    network, rules, autodiff."""


def main(args: list[str]) -> int:
    name = tyro.cli(Show, prog="jaxninja show", args=args).name
    rules = {rule.name: rule for rule in RULES}
    if name in rules:
        rule = rules[name]
        module = sys.modules[rule.fwd.__module__]
        kept = getattr(module, "Residuals", None)  # some keep nothing
        parts = [part for part in (kept, rule.op, rule.fwd, rule.bwd, rule.jvp) if part]
    elif name == "network":
        module, parts = by_hand, [by_hand.value_and_grad]
    elif name in ("rules", "autodiff"):
        module, parts = ninja, [ninja.hidden_preactivation, ninja.loss, ninja.head_loss]
    else:
        known = [*rules, "network", "rules", "autodiff"]
        hint = did_you_mean(name, known)
        raise UserError(f"no rule {name!r}, expected {', '.join(known)}{hint}")
    print(f"# {module.__name__}\n")
    print(inspect.getdoc(module), end="\n\n\n")
    print(
        "\n\n".join(inspect.getsource(inspect.unwrap(part)) for part in parts), end=""
    )
    return 0
