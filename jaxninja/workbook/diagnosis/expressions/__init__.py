"""Mistakes in one place of an expression, and a hint on each.

A rule takes a place, a node of the expression's syntax tree, and the array whose
gradient it makes. It yields what a learner may have written there instead, and the hint
that names it. What does not run, as its shapes do not fit, is no answer.
"""

from jaxninja.workbook.diagnosis.expressions import arithmetic, arrays

# The plainest first: of two that give the same numbers it is the one that is named.
RULES = (
    arrays.jacobians,
    arithmetic.exponents,
    arithmetic.sums,
    arithmetic.bessel,
    arithmetic.sizes,
    arithmetic.signs,
    arithmetic.terms,
    arithmetic.products,
    arithmetic.sums_first,
    arithmetic.brackets,
    arrays.softmax,
    arrays.masks,
    arrays.one_hots,
    arrays.indexed,
    arrays.reshaped,
    arrays.listed,
    arithmetic.powers,
    arithmetic.slopes,
    arithmetic.numbers,
    arrays.saved,
)
