"""Inputs for every primitive of the table: generic ones, ties, kinks and edges.

A case is a function that uses the primitive, and its arguments; the gradient is taken
with respect to all floating arguments.
"""

from jaxninja.engine.primitives.table import FAMILIES, primitive
from tests.engine.primitives import (
    cases_axes,
    cases_calls,
    cases_complex,
    cases_elementwise,
    cases_indexing,
    cases_linear_algebra,
)

TABLES = (
    cases_elementwise,
    cases_axes,
    cases_complex,
    cases_linear_algebra,
    cases_indexing,
    cases_calls,
)
CASES = {name: cases for table in TABLES for name, cases in table.CASES.items()}

# the walk stops at a while loop; a test of its own says how
WITHOUT_GRADIENT = {"while"}

PRIMITIVE_NAMES = [
    name
    for family in FAMILIES.values()
    for name in family
    if primitive(name) is not None and name not in WITHOUT_GRADIENT
]
