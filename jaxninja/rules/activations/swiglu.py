"""The gated unit with silu for its gate; gated.py has the derivation.

    y = silu(gate) up,   silu(g) = g s,   s = sigmoid(g)

    dgate = silu'(gate) up dy                dup = silu(gate) dy

silu' = s + g s (1 - s), from silu.py, shares s and g s with silu.

Check: at gate = 0, where silu is 0 with slope 1/2, up receives nothing and gate half
of up dy; for gate -> inf y = gate up, the bilinear unit.
"""

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.activations import gated
from jaxninja.rules.activations.silu import value_and_slope


@jax.custom_vjp
def swiglu(
    gate: Float[Array, "*shape"], up: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Gated linear unit with silu: y = gate sigmoid(gate) up, smooth everywhere.

    Args:
        gate: [*shape], from one linear layer.
        up: [*shape], from another.

    Returns:
        [*shape].

    Raises:
        ValueError: shapes or types differ, or are not floating-point.

    Source: Shazeer 2020, GLU variants improve transformer, arXiv:2002.05202.
    """
    return swiglu_fwd(gate, up)[0]


def swiglu_fwd(gate, up):
    gated.check_arguments("swiglu", gate, up)
    return gate * jax.lax.logistic(gate) * up, gated.Residuals(gate, up)


def swiglu_bwd(res, dy):
    """Returns dgate, dup [*shape]."""
    return gated.backward(value_and_slope, res, dy)


swiglu.defvjp(swiglu_fwd, swiglu_bwd)


def swiglu_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for moves of gate and up."""
    return gated.forward_mode(value_and_slope, primals, tangents)


rule = Rule(
    op=swiglu,
    fwd=swiglu_fwd,
    bwd=swiglu_bwd,
    jvp=swiglu_jvp,
    example=gated.example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 1024}),
    source="Shazeer 2020, arXiv:2002.05202",
)
