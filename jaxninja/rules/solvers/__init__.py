"""Solutions of equations, whose gradient comes from the equation and not the solver."""

from jaxninja.rule import Rule
from jaxninja.rules.solvers import cholesky_solve, fixed_point, logdet

RULES: tuple[Rule, ...] = (fixed_point.rule, cholesky_solve.rule, logdet.rule)
