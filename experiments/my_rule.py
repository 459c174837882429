"""A template for a rule of your own: softplus, y = log(1 + e^x). Copy and change it.

    python -m experiments.my_rule

1. Derive. Perturb the input and collect what reaches the output, then transpose.

    dy/dx = e^x / (1 + e^x) = sigmoid(x)          elementwise: its own transpose

   so  dx = sigmoid(x) dy. And sigmoid(x) = 1 - e^-y, since e^y = 1 + e^x: y alone is
   enough, and it is what the next layer keeps anyway.

   Check: x -> -inf gives y -> 0 and dx -> 0; x -> inf gives y -> x and dx -> dy.

2. Write the function, the forward with residuals, the backward; connect them.
3. Describe it in a Rule: an example with generic inputs, small cases, a large one.
4. Prove it in float64 against `jax.vjp` of the plain function, as `main` does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxninja import Case, Rule


class Residuals(NamedTuple):
    y: jax.Array  # [*shape]; x is not kept


@jax.custom_vjp
def softplus(x):
    """y = log(1 + e^x), elementwise, without overflow.

    Args:
        x: [*shape].

    Returns:
        [*shape], above 0.
    """
    return jnp.logaddexp(x, 0)


def softplus_fwd(x):
    # The plain expression and not softplus(x): Hessian-vector products then work.
    y = jnp.logaddexp(x, 0)
    return y, Residuals(y)


def softplus_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple: one cotangent for each argument."""
    return (-jnp.expm1(-res.y) * dy,)  # expm1: 1 - e^-y loses no digits at small y


softplus.defvjp(softplus_fwd, softplus_bwd)


def example(key, N, D):
    return (3 * jax.random.normal(key, (N, D)),)  # no zeros, no ones, no symmetry


rule = Rule(
    op=softplus,
    fwd=softplus_fwd,
    bwd=softplus_bwd,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1})),
    bench=Case({"N": 4096, "D": 512}),
    source="Dugas, Bengio, Belisle, Nadeau, Garcia 2001, NIPS 13",
)


def main() -> None:
    with jax.enable_x64(True):  # float64: identity is proved there
        for case in rule.cases:
            (x,) = rule.example(jax.random.key(0), **case.dims)
            x = x.astype(jnp.float64)
            dy = jax.random.normal(jax.random.key(1), x.shape, x.dtype)  # not ones
            (mine,) = jax.vjp(rule.op, x)[1](dy)
            (truth,) = jax.vjp(rule.reference, x)[1](dy)
            error = float(abs(mine - truth).max() / abs(truth).max())
            print(f"{rule.name} {case}: {error:.1e} of the largest entry apart")
            assert error < 1e-12


if __name__ == "__main__":
    main()
