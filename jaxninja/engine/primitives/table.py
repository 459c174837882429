"""The table: every primitive that the engine can walk through, and its rule.

It is a value, not a registry. To add a rule, or to try another, give a table of your
own: `value_and_grad(f, rules={**PRIMITIVES, primitive: rule})`.
"""

from types import MappingProxyType
from typing import Any

from jax import lax
from jax.extend.core import primitives

from jaxninja.engine.primitives.calls import CALLS
from jaxninja.engine.primitives.convolution import CONVOLUTION
from jaxninja.engine.primitives.elementwise import ELEMENTWISE
from jaxninja.engine.primitives.indexing import INDEXING
from jaxninja.engine.primitives.kinks import KINKS
from jaxninja.engine.primitives.loops import LOOPS
from jaxninja.engine.primitives.reductions import REDUCTIONS
from jaxninja.engine.primitives.scattering import SCATTERING
from jaxninja.engine.primitives.shapes import SHAPES
from jaxninja.engine.primitives.special import SPECIAL

FAMILIES = {
    "elementwise": ELEMENTWISE,
    "special": SPECIAL,
    "kinks": KINKS,
    "shapes": SHAPES,
    "reductions": REDUCTIONS,
    "convolution": CONVOLUTION,
    "indexing": INDEXING,
    "scattering": SCATTERING,
    "calls": CALLS,
    "loops": LOOPS,
}


def primitive(name: str) -> Any:
    """JAX's primitive of this name; None where this version of JAX has none."""
    attribute = f"{name.replace('-', '_')}_p"
    return getattr(primitives, attribute, None) or getattr(lax, attribute, None)


def _table() -> dict[Any, Any]:
    rules = {
        name: rule for family in FAMILIES.values() for name, rule in family.items()
    }
    found = {primitive(name): rule for name, rule in rules.items()}
    found.pop(None, None)
    return found


PRIMITIVES = MappingProxyType(_table())
