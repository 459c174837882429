"""The table: every primitive that the engine can walk through, and its rule.

It is a value, not a registry. To add a rule, or to try another, give a table of your
own: `value_and_grad(f, rules={**PRIMITIVES, primitive: rule})`.
"""

from types import MappingProxyType
from typing import Any

from jax import lax
from jax.extend.core import primitives

from jaxninja.engine.primitives.branches import BRANCHES
from jaxninja.engine.primitives.calls import CALLS
from jaxninja.engine.primitives.complex_numbers import COMPLEX_NUMBERS
from jaxninja.engine.primitives.convolution import CONVOLUTION
from jaxninja.engine.primitives.elementwise import ELEMENTWISE
from jaxninja.engine.primitives.factorisations import FACTORISATIONS
from jaxninja.engine.primitives.fourier import FOURIER
from jaxninja.engine.primitives.indexing import INDEXING
from jaxninja.engine.primitives.kinks import KINKS
from jaxninja.engine.primitives.loops import LOOPS
from jaxninja.engine.primitives.reductions import REDUCTIONS
from jaxninja.engine.primitives.scattering import SCATTERING
from jaxninja.engine.primitives.shapes import SHAPES
from jaxninja.engine.primitives.solvers import SOLVERS
from jaxninja.engine.primitives.special import SPECIAL
from jaxninja.engine.primitives.spectra import SPECTRA
from jaxninja.engine.primitives.trigonometry import TRIGONOMETRY
from jaxninja.engine.primitives.windows import WINDOWS

FAMILIES = {
    "elementwise": ELEMENTWISE,
    "trigonometry": TRIGONOMETRY,
    "special": SPECIAL,
    "kinks": KINKS,
    "complex numbers": COMPLEX_NUMBERS,
    "Fourier transforms": FOURIER,
    "shapes": SHAPES,
    "reductions": REDUCTIONS,
    "convolution": CONVOLUTION,
    "windows": WINDOWS,
    "solvers": SOLVERS,
    "factorisations": FACTORISATIONS,
    "spectra": SPECTRA,
    "indexing": INDEXING,
    "scattering": SCATTERING,
    "calls": CALLS,
    "loops": LOOPS,
    "branches": BRANCHES,
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
