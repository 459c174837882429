"""Inputs for operations entry by entry."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import ABOVE, EDGE, INSIDE, NO_ROWS, SCALAR, TIED, X, Y, real
from tests.engine.primitives.cases_complex import POINTS, Z

P = abs(INSIDE) + 0.05  # between 0 and 1
SMALL = np.array([-3e-9, -0.0, 0.0, 1e-17, 1e-5, 40.0])


def betainc(x):
    return lax.betainc(jnp.asarray(ABOVE, x.dtype), jnp.asarray(1 + ABOVE, x.dtype), x)


def unary(f, x=X, *more):
    return [(f, x), (f, SCALAR if x is not INSIDE else np.float64(0.3)), *more]


def clamped(low, high):
    def f(x):
        return lax.clamp(jnp.asarray(low, x.dtype), x, jnp.asarray(high, x.dtype))

    return f


def switch_off(x, y):
    return lax.stop_gradient(x) * y


CASES = {
    # elementwise
    "add": [
        (lax.add, X, Y),
        (lambda x, y: x + lax.add(x, y), X, SCALAR),
        (lax.add, real(3, 1), Y),
    ],
    "add_jaxvals": [(lambda x: jax.vjp(lambda x: jnp.sin(x) * x, x)[1](x)[0], X)],
    "sub": [(lax.sub, X, Y), (lax.sub, SCALAR, Y)],
    "mul": [(lax.mul, X, Y), (lax.mul, X, SCALAR), (lambda x: x * x, X)],
    "div": [(lax.div, X, Y), (lax.div, SCALAR, Y), (lax.div, EDGE, EDGE[::-1])],
    "neg": unary(lax.neg),
    "pow": [
        (lax.pow, ABOVE, Y),
        (lax.pow, ABOVE, SCALAR),
        (lax.pow, np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.5, 1.0, 0.0, 0.0])),
        (
            lambda x: lax.pow(x, np.array([0, 1, 2, -1])),
            np.array([0.0, 0.0, -2.0, 3.0]),
        ),
    ],
    "integer_pow": [
        (lambda x, n=n: lax.integer_pow(x, n), x)
        for n, x in ((0, EDGE), (1, EDGE), (2, EDGE), (3, X), (-1, EDGE), (-2, X))
    ],
    "square": unary(lax.square),
    "sqrt": unary(lax.sqrt, ABOVE, (lax.sqrt, EDGE[1:])),
    "rsqrt": unary(lax.rsqrt, ABOVE, (lax.rsqrt, EDGE[2:])),
    "cbrt": unary(lax.cbrt),
    "exp": unary(lax.exp, X, (lax.exp, NO_ROWS)),
    "exp2": unary(lax.exp2),
    "expm1": unary(lax.expm1, X, (lax.expm1, EDGE)),
    "log": unary(lax.log, ABOVE, (lax.log, EDGE)),
    "log2": [(lambda x: jnp.log2(x), ABOVE)],
    "log1p": unary(lax.log1p, ABOVE, (lax.log1p, EDGE)),
    "logistic": unary(lax.logistic, X, (lax.logistic, 30 * X)),
    "tanh": unary(lax.tanh, X, (lax.tanh, 10 * X)),
    "convert_element_type": [
        (lambda x: x.astype(jnp.float32), X),
        (lambda x: x.astype(jnp.int32) * x, X),
    ],
    "reduce_precision": [(lambda x: lax.reduce_precision(x, 8, 7), X)],
    # special
    "sinh": unary(lax.sinh),
    "cosh": unary(lax.cosh),
    "asinh": unary(lax.asinh, X, (lax.asinh, 3 * Z)),
    "acosh": [(lax.acosh, 1.5 + ABOVE), (lax.acosh, 2.5 + Z)],
    "atanh": unary(lax.atanh, INSIDE),
    "sin": unary(lax.sin),
    "cos": unary(lax.cos),
    "tan": unary(lax.tan),
    "asin": unary(lax.asin, INSIDE),
    "acos": unary(lax.acos, INSIDE),
    "atan": unary(lax.atan),
    "atan2": [(lax.atan2, X, Y), (lax.atan2, X, SCALAR)],
    "erf": unary(lax.erf),
    "erfc": unary(lax.erfc),
    "erf_inv": unary(lax.erf_inv, INSIDE),
    "lgamma": unary(lax.lgamma, ABOVE),
    "digamma": unary(lax.digamma, ABOVE),
    "polygamma": [(lambda x: lax.polygamma(jnp.full_like(x, 2), x), ABOVE)],
    "igamma": [(lax.igamma, ABOVE, Y + 2.1)],
    "igammac": [(lax.igammac, ABOVE, Y + 2.1)],
    "regularized_incomplete_beta": [(betainc, P)],
    "bessel_i0e": unary(lax.bessel_i0e, X, (lax.bessel_i0e, SMALL)),
    "bessel_i1e": unary(lax.bessel_i1e, X, (lax.bessel_i1e, SMALL)),
    "one_minus_square": [(lambda x: lax.one_minus_square(x), X)],
    "polynomial": [(lambda x, a, b, c: lax.polynomial(x, [a, b, c]), X, Y, Y + 1, X)],
    # kinks
    "abs": unary(lax.abs, X, (lax.abs, EDGE), (lax.abs, Z), (lax.abs, POINTS)),
    "max": [(lax.max, X, Y), (lax.max, X, SCALAR), (lax.max, TIED[0], TIED[2])],
    "min": [(lax.min, X, Y), (lax.min, SCALAR, X), (lax.min, TIED[0], TIED[2])],
    "rem": [(lax.rem, X, Y), (lax.rem, 5 * X, SCALAR)],
    "clamp": [
        (lax.clamp, X, Y, X + 1),
        (lax.clamp, X, Y, X - 1),
        (lax.clamp, 0 * EDGE, EDGE, 0 * EDGE + 1),
        (lax.clamp, 0 * EDGE, EDGE, 0 * EDGE),
        # with scalar bounds JAX differentiates x alone
        (clamped(-0.5, 0.7), X),
        (clamped(0.0, 1.0), EDGE),
        (clamped(1.0, -1.0), EDGE),
    ],
    "select_n": [
        (lambda x, y: lax.select_n(X > 0, x, y), X, Y),
        (lambda x, y: lax.select_n(np.True_, x, y), X, Y),
        (lambda x, y: lax.select_n(np.array([2, 0, 1, 2]), x[0], y[1], x[2]), X, Y),
    ],
    **{
        name: [(lambda x, f=f: f(x) * x, 3 * X)]
        for name, f in {
            "ceil": lax.ceil,
            "floor": lax.floor,
            "round": lax.round,
            "sign": lax.sign,
        }.items()
    },
    "stop_gradient": [(switch_off, X, Y)],
}
