"""Bugs of broadcasts, complex numbers, simulators and triangles, with threads."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def gaussian_complex(rng, *shape):
    return (normal(rng, *shape) + 1j * normal(rng, *shape)).astype(jnp.complex64)


@case(
    "ml-explore/mlx#3433",
    "complex",
    lambda rng: (gaussian_complex(rng, 3, 4),),
    Twin(
        "as reported",
        "sign|function|transpose|operand",
        "z",
        "The other factors are conjugated where the convention does not ask for it.",
    ),
    kind="bug",
    name="complex_product_reduce mlx#3433",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def complex_product_reduce(slip):
    @jax.custom_vjp
    def product(z):
        y = z[:, 0]
        for i in range(1, z.shape[1]):
            y = y * z[:, i]
        return y

    def fwd(z):
        return product.fun(z), z

    def bwd(z, g):
        n = z.shape[1]
        rest = [product.fun(jnp.delete(z, i, 1, assume_unique_indices=True))
                for i in range(n)]  # fmt: skip
        others = jnp.stack(rest, 1)
        return (g[:, None] * (others.conj() if slip else others),)

    product.defvjp(fwd, bwd)
    return product, product.fun


@case(
    "ml-explore/mlx#2178",
    "complex",
    lambda rng: (normal(rng, 5), gaussian_complex(rng, 5)),
    Twin(
        "as reported",
        "sign|function|transpose|operand",
        "gain",
        "The real factor's gradient is taken with the conjugate.",
    ),
    kind="bug",
    name="complex_multiply mlx#2178",
    narrow=False,
)
def complex_multiply(slip):
    @jax.custom_vjp
    def scale(gain, z):
        return gain * z

    def fwd(gain, z):
        return gain * z, (gain, z)

    def bwd(res, g):
        gain, z = res
        other = z.conj() if slip else z
        return (g * other).real, g * gain

    scale.defvjp(fwd, bwd)
    return scale, scale.fun


@case(
    "ml-explore/mlx#610",
    "broadcast",
    draw(x=(3, 3), shift=(2, 3, 3)),
    Twin(
        "as reported",
        "zero|sum|path",
        "x",
        "The argument that is broadcast loses its gradient.",
    ),
    kind="bug",
    name="broadcast_square mlx#610",
)
def broadcast_square(slip):
    @jax.custom_vjp
    def square(x, shift):
        return (x + shift) ** 2

    def fwd(x, shift):
        return square.fun(x, shift), (x, shift)

    def bwd(res, g):
        x, shift = res
        d = 2 * (x + shift) * g
        return jnp.zeros_like(x) if slip else d.sum(0), d

    square.defvjp(fwd, bwd)
    return square, square.fun


@case(
    "ml-explore/mlx#628",
    "elementwise",
    lambda rng: (positive(rng, 5, low=2.5, high=3.5), positive(rng, 5, low=1.2)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|predicate|region",
        "b",
        "0 log 0 is NaN where a = b.",
        witness=lambda rng: (jnp.full(5, 1.5), jnp.full(5, 1.5)),
    ),
    kind="bug",
    name="power_of_difference mlx#628",
    options=lambda plain: {"edges": False},
    scales=(1.0,),
)
def power_of_difference(slip):
    @jax.custom_vjp
    def power(a, b):
        return (a - b) ** b

    def fwd(a, b):
        y = (a - b) ** b
        return y, (a, b, y)

    def bwd(res, g):
        a, b, y = res
        base = a - b
        slope = g * b * base ** (b - 1)
        if slip:
            return slope, g * y * jnp.log(base) - slope
        log = jnp.log(jnp.where(base == 0, 1, base))
        return slope, g * y * log - slope

    power.defvjp(fwd, bwd)
    return power, power.fun


@case(
    "ekzhang/jax-js#84",
    "linear solver",
    lambda rng: (normal(rng, 4, 4) + 4 * jnp.eye(4), normal(rng, 4, 2)),
    Twin(
        "as reported",
        "mask|region",
        "a",
        "The triangle that the solver does not read gets a gradient.",
    ),
    kind="bug",
    name="triangular_solve jax-js#84",
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
)
def triangular_solve(slip):
    def solve(a, b, trans=0):
        return jax.scipy.linalg.solve_triangular(a, b, trans=trans)

    @jax.custom_vjp
    def upper_solve(a, b):
        return solve(a, b)

    def fwd(a, b):
        x = solve(a, b)
        return x, (a, x)

    def bwd(res, g):
        a, x = res
        db = solve(a, g, 1)
        da = -db @ x.T
        return da if slip else jnp.triu(da), db

    upper_solve.defvjp(fwd, bwd)
    return upper_solve, upper_solve.fun


@case(
    "NVIDIA/warp#1466",
    "elementwise",
    draw(x=(2, 3), size=(2, 3)),
    Twin(
        "as reported", "function|term|zero|path", "x", "sign has the gradient of abs."
    ),
    kind="bug",
    name="vector_sign warp#1466",
    options=lambda plain: {"zero": ("x",)},
)
def vector_sign(slip):
    @jax.custom_vjp
    def signed(x, size):
        return jnp.sign(x) * size

    def fwd(x, size):
        return signed.fun(x, size), (x, size)

    def bwd(res, g):
        x, size = res
        dx = jnp.sign(x) * g * size
        return dx if slip else jnp.zeros_like(x), jnp.sign(x) * g

    signed.defvjp(fwd, bwd)
    return signed, signed.fun


@case(
    "NVIDIA/warp#1380",
    "kernel",
    draw(planes=(2, 3, 4), gain=()),
    Twin(
        "as reported",
        "ratio|factor|sum",
        "planes gain",
        "The adjoint is launched over one axis too many: times its length.",
    ),
    kind="bug",
    name="scaled_planes warp#1380",
)
def scaled_planes(slip):
    @jax.custom_vjp
    def scale(planes, gain):
        return gain * planes

    def fwd(planes, gain):
        return gain * planes, (planes, gain)

    def bwd(res, g):
        planes, gain = res
        times = planes.shape[0] if slip else 1
        return times * gain * g, times * (planes * g).sum()

    scale.defvjp(fwd, bwd)
    return scale, scale.fun


@case(
    "NVIDIA/warp#1293",
    "kinematics",
    draw(base=(2,), angles=(4,)),
    Twin(
        "as reported",
        "ratio|factor",
        "base",
        "Nested loops add the outer variable's gradient twice.",
    ),
    kind="bug",
    name="nested_chain warp#1293",
)
def nested_chain(slip):
    @jax.custom_vjp
    def joints(base, angles):
        turned = jnp.cumsum(angles)
        steps = jnp.stack([jnp.cos(turned), jnp.sin(turned)], -1)
        return base + jnp.cumsum(steps, 0)

    def fwd(base, angles):
        return joints.fun(base, angles), jnp.cumsum(angles)

    def bwd(turned, g):
        pull = jnp.cumsum(g[::-1], 0)[::-1]
        dturned = pull[:, 1] * jnp.cos(turned) - pull[:, 0] * jnp.sin(turned)
        dangles = jnp.cumsum(dturned[::-1])[::-1]
        return (2 if slip else 1) * g.sum(0), dangles

    joints.defvjp(fwd, bwd)
    return joints, joints.fun


@case(
    "NVIDIA/warp#248",
    "kernel",
    draw(x=(4,)),
    Twin("as reported", "zero", "x", "Writing single components loses the gradient."),
    kind="bug",
    name="components warp#248",
)
def components(slip):
    @jax.custom_vjp
    def spread(x):
        return jnp.stack([2 * x, 3 * x, jnp.sin(x)], -1)

    def fwd(x):
        return spread.fun(x), x

    def bwd(x, g):
        dx = 2 * g[:, 0] + 3 * g[:, 1] + jnp.cos(x) * g[:, 2]
        return (jnp.zeros_like(x) if slip else dx,)

    spread.defvjp(fwd, bwd)
    return spread, spread.fun
