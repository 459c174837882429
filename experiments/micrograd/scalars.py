"""The worked examples of the micrograd lecture, each with its numbers.

    python -m experiments.micrograd.scalars [--figure FILE]

Every example is a plain function of numbers. `jaxninja.engine` traces it to a graph of
JAX's own operations and walks that graph backwards; a node is named where the function
names it. All numbers are float64, as in the lecture's Python.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name as name

from jaxninja.engine import Graph, backward, trace

# ---- the derivative, without calculus


def parabola(x):
    """f(x) = 3 x^2 - 4 x + 5: f(3) = 20, f'(x) = 6 x - 4, and f'(2/3) = 0."""
    return 3 * x**2 - 4 * x + 5


def slope(f: Callable, x: float, h: float) -> float:
    """The slope as rise over run, (f(x + h) - f(x)) / h."""
    return (f(x + h) - f(x)) / h


def central_slope(f: Callable, x: float, h: float) -> float:
    """The slope between both sides, (f(x + h) - f(x - h)) / 2h: the h^2 term drops."""
    return (f(x + h) - f(x - h)) / (2 * h)


def why_differences_are_worse() -> Iterator[tuple[float, float, float, float]]:
    """Errors of the slope of tanh at 0.7, for shrinking h.

    Too large an h sees the curve, too small an h subtracts two numbers that agree in
    nearly all digits: about 8 digits are the best that a one-sided difference gives, 12
    a two-sided one; the engine gives all 16. And a difference needs one evaluation of f
    for every input, where the walk gives all slopes at about the cost of two.

    Yields:
        h, and the errors of the one-sided slope, the two-sided slope, the engine.
    """
    x = 0.7
    exact = 1 - float(jnp.tanh(x)) ** 2
    error = abs(float(backward(trace(jnp.tanh, x))[0]) - exact)
    for digits in range(1, 16, 2):
        h = 10.0**-digits
        one, two = slope(jnp.tanh, x, h), central_slope(jnp.tanh, x, h)
        yield h, abs(float(one) - exact), abs(float(two) - exact), error


# ---- L = (a b + c) f


def expression(a, b, c, f):
    """With a = 2, b = -3, c = 10, f = -2: e = -6, d = 4, L = -8.

    Gradients, from the back: L 1, d = f = -2, f = d = 4, e -2, c -2 (a sum hands its
    gradient on), a = b e' = 6, b = a e' = -4 (a product swaps its factors).
    """
    e = name(a * b, "e")
    d = name(e + c, "d")
    return name(d * f, "L")


INPUTS = (2.0, -3.0, 10.0, -2.0)


def nudge(step: float = 0.01) -> float:
    """Move every input along its gradient: L rises from -8 to -7.286496."""
    grads = backward(trace(expression, *INPUTS)).arguments
    moved = [x + step * g for x, g in zip(INPUTS, grads, strict=True)]
    return float(expression(*moved))


# ---- a neuron


def neuron(x1, x2, w1, w2, b):
    """o = tanh(x1 w1 + x2 w2 + b): n = 0.8814, o = 0.7071; do/dn = 1 - o^2 = 0.5.

    Gradients: b 0.5, x1 = w1 / 2 = -1.5, w1 = x1 / 2 = 1, x2 0.5, and w2 = x2 / 2 = 0:
    where the input is 0, turning its weight changes nothing.
    """
    n = name(x1 * w1 + x2 * w2 + b, "n")
    return name(jnp.tanh(n), "o")


def neuron_by_exp(x1, x2, w1, w2, b):
    """The same with tanh n = (e^2n - 1) / (e^2n + 1): e^2n = 5.8284, gradient 0.0429.

    One operation or five, the gradients of the inputs are the same. But e^2n overflows
    for n above 354, where tanh n is simply 1.
    """
    n = name(x1 * w1 + x2 * w2 + b, "n")
    e = name(jnp.exp(2 * n), "e")
    return name((e - 1) / (e + 1), "o")


NEURON = (2.0, 0.0, -3.0, 1.0, 6.8813735870195432)


# ---- a node that is used more than once


def twice(a):
    """b = a + a: both uses count, so a = 3 has gradient 2, not 1."""
    return name(a + a, "b")


def crossed(a, b):
    """f = (a b)(a + b), a = -2, b = 3: d -6, e 1, f -6; gradients a -3, b -8."""
    d, e = name(a * b, "d"), name(a + b, "e")
    return name(d * e, "f")


def diamond(a):
    """b = a + a, c = b + b: dc/da = 4; a walk that comes to b too early gets 2."""
    b = name(a + a, "b")
    return name(b + b, "c")


# ---- the expression of micrograd's README


def readme(a, b):
    """g(-4, 2) = 24.7041, dg/da = 138.8338, dg/db = 645.5773."""
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c - a
    d = d + d * 2 + jax.nn.relu(b + a)
    d = d + 3 * d + jax.nn.relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    return name(g + 10.0 / f, "g")


EXAMPLES = {
    expression: INPUTS,
    neuron: NEURON,
    neuron_by_exp: NEURON,
    twice: (3.0,),
    crossed: (-2.0, 3.0),
    diamond: (1.0,),
    readme: (-4.0, 2.0),
}


def named_nodes(graph: Graph) -> Iterator[tuple[str, float, float]]:
    """Name, value and gradient of every named node."""
    grads = backward(graph)
    for node in graph.nodes:
        if node.name:
            yield node.name, float(node.value), float(grads[node])


def main() -> None:
    parser = argparse.ArgumentParser(description="micrograd's worked examples.")
    parser.add_argument("--figure", type=Path, help="draw the neuron to this file")
    options = parser.parse_args()
    print(f"parabola: f(3) = {parabola(3.0)}, slope at 2/3 with h = 1e-6:", end=" ")
    print(slope(parabola, 2 / 3, 1e-6))
    with jax.enable_x64(True):
        for f, inputs in EXAMPLES.items():
            print(f"\n{f.__name__}: {f.__doc__.splitlines()[0]}")
            for label, value, grad in named_nodes(trace(f, *inputs)):
                print(f"  {label:>3} {value:12.6f}   grad {grad:12.6f}")
        print(f"\nafter a step along the gradients: L = {nudge():.6f}")
        print(
            "\nerror of the slope of tanh at 0.7:\n h       one-sided  two-sided  walk"
        )
        for h, one, two, walk in why_differences_are_worse():
            print(f" {h:.0e}   {one:.1e}    {two:.1e}    {walk:.1e}")
        if options.figure:
            graph = trace(neuron, *NEURON)
            options.figure.write_text(graph.to_svg(backward(graph)))


if __name__ == "__main__":
    main()
