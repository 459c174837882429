"""The gated unit with gelu for its gate; gated.py has the derivation.

    y = gelu(gate) up,   gelu(g) = g P,   P = P(X <= g) for X standard normal

    dgate = gelu'(gate) up dy                dup = gelu(gate) dy

gelu' is derived in gelu.py, in both forms: P + g P', P' being the normal density, or in
the tanh form s + g s' with a sigmoid s for P. Either shares P or s with gelu.

Check: at gate = 0, where gelu is 0 with slope 1/2, up receives nothing and gate half
of up dy; for gate -> inf y = gate up, the bilinear unit.
"""

from functools import partial

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.activations import gated
from jaxninja.rules.activations.gelu import check_form, value, value_and_slope


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def geglu(
    gate: Float[Array, "*shape"],
    up: Float[Array, "*shape"],
    approximate: bool = True,
) -> Float[Array, "*shape"]:
    """Gated linear unit with gelu: y = gelu(gate) up, smooth everywhere.

    Args:
        gate: [*shape], from one linear layer.
        up: [*shape], from another.
        approximate: gelu's tanh form, within 5e-4 of the erf form.

    Returns:
        [*shape].

    Raises:
        ValueError: shapes or types differ, or are not floating-point, or approximate is
            no bool.

    Source: Shazeer 2020, GLU variants improve transformer, arXiv:2002.05202.
    """
    return geglu_fwd(gate, up, approximate)[0]


def geglu_fwd(gate, up, approximate):
    gated.check_arguments("geglu", gate, up)
    check_form("geglu", approximate)
    return value(gate, approximate) * up, gated.Residuals(gate, up)


def geglu_bwd(approximate, res, dy):
    """Returns dgate, dup [*shape]."""
    return gated.backward(lambda g: value_and_slope(g, approximate), res, dy)


geglu.defvjp(geglu_fwd, geglu_bwd)


def geglu_jvp(approximate, primals, tangents):
    """Returns y and its move dy [*shape] for moves of gate and up."""
    return gated.forward_mode(
        lambda g: value_and_slope(g, approximate), primals, tangents
    )


rule = Rule(
    op=geglu,
    fwd=geglu_fwd,
    bwd=geglu_bwd,
    jvp=geglu_jvp,
    example=gated.example,
    cases=(
        Case({"N": 3, "D": 5}, (True,)),
        Case({"N": 3, "D": 5}, (False,)),
        Case({"N": 1, "D": 1}, (True,)),
        Case({"N": 4, "D": 4}, (False,)),
    ),
    bench=Case({"N": 4096, "D": 1024}, (True,)),
    source="Shazeer 2020, arXiv:2002.05202",
)
