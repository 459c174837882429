"""Exercise 6: a GRU, and its gradient through three steps of time.

One step takes x [n, E] and the state h [n, H] to a new state, by two gates z and r:

    az = x @ Wz + h @ Uz + bz               z = jax.nn.sigmoid(az)
    ar = x @ Wr + h @ Ur + br               r = jax.nn.sigmoid(ar)
    rh = r * h
    ac = x @ Wc + rh @ Uc + bc              c = jnp.tanh(ac)
    h  = (1 - z) * h + z * c                all of them [n, H]

Three steps follow each other, from h0 by x1, x2, x3 to h1, h2, h3, with the same
weights. All three states are used: y is the stack of h1, h2, h3 [3, n, H], and dy is
given. The third step is asked for array by array; of the second and first one only what
the weights and the step before need, a longer expression each. A function of your own
for a step is welcome. At last the weights: what is used in each step receives the sum
of what all steps send back.

sigmoid' is s (1 - s), tanh' is 1 - tanh^2. Sizes: n batch, E input, H hidden units.
"""

import numpy as np

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.network import Network, Node, Sizes, sizes


# fmt: off
def backward(
    h0, x1, x2, x3, Wz, Uz, bz, Wr, Ur, br, Wc, Uc, bc,
    z1, r1, rh1, c1, h1, z2, r2, rh2, c2, h2, z3, r3, rh3, c3, h3, dy,
):
    # rule: A stack puts arrays side by side: its gradient has theirs as its parts.
    # formula: the last of the three parts of dy.
    # why: No step follows the third: its state is read by y alone.
    dh3 = dy[2]

    # rule: A product z * c: the other factor times the upstream.
    # formula: z3 * dh3.
    # why: The gate lets through what it wrote: where z is 0 the new c did not matter.
    dc3 = z3 * dh3

    # rule: An elementwise function; tanh' can be written with its own output.
    # formula: (1 - c3^2) * dc3.
    # why: d tanh(a)/da = 1 - tanh(a)^2, and c3 is that tanh already.
    dac3 = (1.0 - c3**2) * dc3

    # rule: A matrix product rh @ Uc: upstream @ Uc.T.
    # formula: dac3 @ Uc.T, [n, H] @ [H, H].
    # why: rh3[i, j] reaches every unit of ac3 with weight Uc[j, k]. Uc is square, so
    #   the shapes do not tell Uc from Uc.T: the sum goes over what ac3 has.
    drh3 = dac3 @ Uc.T

    # rule: A product r * h: the other factor times the upstream.
    # formula: h2 * drh3: the state that step 3 began with.
    # why: r3 decides how much of h2 the candidate sees.
    dr3 = h2 * drh3

    # rule: An elementwise function; sigmoid' can be written with its own output.
    # formula: r3 * (1 - r3) * dr3.
    # why: d sigmoid(a)/da = s (1 - s), at most 1/4, and near 0 where a gate is sure.
    dar3 = r3 * (1.0 - r3) * dr3

    # rule: z is read twice, by (1 - z) * h and by z * c: take both together.
    # formula: (c3 - h2) * dh3.
    # why: A larger z puts the new c in the place of the old h: their difference tells.
    dz3 = (c3 - h2) * dh3

    # rule: An elementwise function; sigmoid' can be written with its own output.
    # formula: z3 * (1 - z3) * dz3.
    # why: As for ar3.
    daz3 = z3 * (1.0 - z3) * dz3

    # rule: h2 is read five times: by y, and four times in step 3.
    # formula: the middle part of dy, (1 - z3) * dh3, r3 * drh3, dar3 @ Ur.T and
    #   daz3 @ Uz.T, all added up.
    # why: The first is what came in at step 2 itself, the second is the way past the
    #   gates, the road that keeps gradients alive for long; the last three go through
    #   the candidate and the two gates.
    dh2 = dy[1]
    dh2 += (1.0 - z3) * dh3
    dh2 += r3 * drh3
    dh2 += dar3 @ Ur.T
    dh2 += daz3 @ Uz.T

    # rule: As in step 3, by c: the gate z, then tanh.
    # formula: (1 - c2^2) * z2 * dh2.
    # why: dc2 = z2 * dh2, then tanh' of it; dh2 has all later steps in it.
    dac2 = (1.0 - c2**2) * z2 * dh2

    # rule: As in step 3, by rh and r: the product with Uc, then h, then sigmoid.
    # formula: r2 * (1 - r2) * h1 * (dac2 @ Uc.T).
    # why: drh2 = dac2 @ Uc.T, dr2 = h1 * drh2, then sigmoid' of it.
    dar2 = r2 * (1.0 - r2) * h1 * (dac2 @ Uc.T)

    # rule: As in step 3, by z: the difference of new and old, then sigmoid.
    # formula: z2 * (1 - z2) * (c2 - h1) * dh2.
    # why: dz2 = (c2 - h1) * dh2, then sigmoid' of it.
    daz2 = z2 * (1.0 - z2) * (c2 - h1) * dh2

    # rule: As h2: y, the way past the gates, the candidate, the two gates.
    # formula: the first part of dy, (1 - z2) * dh2, r2 * (dac2 @ Uc.T), dar2 @ Ur.T and
    #   daz2 @ Uz.T, all added up.
    # why: Every step back is the same lines with other numbers, which is why training
    #   runs them in a loop. dh2 carries what step 3 sent.
    dh1 = dy[0]
    dh1 += (1.0 - z2) * dh2
    dh1 += r2 * (dac2 @ Uc.T)
    dh1 += dar2 @ Ur.T
    dh1 += daz2 @ Uz.T

    # rule: As in step 3, by c: the gate z, then tanh.
    # formula: (1 - c1^2) * z1 * dh1.
    # why: dc1 = z1 * dh1, then tanh' of it; dh1 has all later steps in it.
    dac1 = (1.0 - c1**2) * z1 * dh1

    # rule: As in step 3, by rh and r: the product with Uc, then h, then sigmoid.
    # formula: r1 * (1 - r1) * h0 * (dac1 @ Uc.T).
    # why: drh1 = dac1 @ Uc.T, dr1 = h0 * drh1, then sigmoid' of it.
    dar1 = r1 * (1.0 - r1) * h0 * (dac1 @ Uc.T)

    # rule: As in step 3, by z: the difference of new and old, then sigmoid.
    # formula: z1 * (1 - z1) * (c1 - h0) * dh1.
    # why: dz1 = (c1 - h0) * dh1, then sigmoid' of it.
    daz1 = z1 * (1.0 - z1) * (c1 - h0) * dh1

    # rule: As h2, but y does not read it.
    # formula: (1 - z1) * dh1, r1 * (dac1 @ Uc.T), dar1 @ Ur.T and daz1 @ Uz.T, all
    #   added up.
    # why: The state before the first step is given, or learned; no y has it.
    dh0 = (1.0 - z1) * dh1
    dh0 += r1 * (dac1 @ Uc.T)
    dh0 += dar1 @ Ur.T
    dh0 += daz1 @ Uz.T

    # rule: One matrix serves three steps: x.T @ upstream of each, added up.
    # formula: x3.T @ daz3 + x2.T @ daz2 + x1.T @ daz1.
    # why: What is used in each step of time receives the sum of what all send back, as
    #   a bias does of all examples. Backpropagation through time is no more than that.
    dWz = x3.T @ daz3
    dWz += x2.T @ daz2
    dWz += x1.T @ daz1

    # rule: One matrix serves three steps: what it was multiplied with, transposed, @
    #   upstream of each, added up.
    # formula: h2.T @ daz3 + h1.T @ daz2 + h0.T @ daz1.
    # why: Step t multiplied it with the state of step t - 1.
    dUz = h2.T @ daz3
    dUz += h1.T @ daz2
    dUz += h0.T @ daz1

    # rule: A bias is broadcast over the batch, in each of three steps: sum over both.
    # formula: daz3, daz2 and daz1, each summed over the n rows, added up.
    # why: bz is added in every row of every step, with slope 1.
    dbz = daz3.sum(0)
    dbz += daz2.sum(0)
    dbz += daz1.sum(0)

    # rule: One matrix serves three steps: x.T @ upstream of each, added up.
    # formula: x3.T @ dar3 + x2.T @ dar2 + x1.T @ dar1.
    # why: What is used in each step of time receives the sum of what all send back, as
    #   a bias does of all examples. Backpropagation through time is no more than that.
    dWr = x3.T @ dar3
    dWr += x2.T @ dar2
    dWr += x1.T @ dar1

    # rule: One matrix serves three steps: what it was multiplied with, transposed, @
    #   upstream of each, added up.
    # formula: h2.T @ dar3 + h1.T @ dar2 + h0.T @ dar1.
    # why: Step t multiplied it with the state of step t - 1.
    dUr = h2.T @ dar3
    dUr += h1.T @ dar2
    dUr += h0.T @ dar1

    # rule: A bias is broadcast over the batch, in each of three steps: sum over both.
    # formula: dar3, dar2 and dar1, each summed over the n rows, added up.
    # why: br is added in every row of every step, with slope 1.
    dbr = dar3.sum(0)
    dbr += dar2.sum(0)
    dbr += dar1.sum(0)

    # rule: One matrix serves three steps: x.T @ upstream of each, added up.
    # formula: x3.T @ dac3 + x2.T @ dac2 + x1.T @ dac1.
    # why: What is used in each step of time receives the sum of what all send back, as
    #   a bias does of all examples. Backpropagation through time is no more than that.
    dWc = x3.T @ dac3
    dWc += x2.T @ dac2
    dWc += x1.T @ dac1

    # rule: One matrix serves three steps: what it was multiplied with, transposed, @
    #   upstream of each, added up.
    # formula: rh3.T @ dac3 + rh2.T @ dac2 + rh1.T @ dac1.
    # why: Uc is multiplied with rh, the state that r has let through.
    dUc = rh3.T @ dac3
    dUc += rh2.T @ dac2
    dUc += rh1.T @ dac1

    # rule: A bias is broadcast over the batch, in each of three steps: sum over both.
    # formula: dac3, dac2 and dac1, each summed over the n rows, added up.
    # why: bc is added in every row of every step, with slope 1.
    dbc = dac3.sum(0)
    dbc += dac2.sum(0)
    dbc += dac1.sum(0)

    return dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWc, dUc, dbc


# fmt: on
GIVEN = (
    Node("h0", "n H"),
    *(Node(f"x{t}", "n E") for t in (1, 2, 3)),
    *(
        Node(f"{letter}{gate}", shape)
        for gate in "zrc"
        for letter, shape in (("W", "E H"), ("U", "H H"), ("b", "H"))
    ),
)


def step(t: int) -> tuple[Node, ...]:
    """The arrays of step t, from those of step t - 1."""
    h = f"h{t - 1}"
    formulas = {
        "az": f"x{t} @ Wz + {h} @ Uz + bz",
        "z": f"jax.nn.sigmoid(az{t})",
        "ar": f"x{t} @ Wr + {h} @ Ur + br",
        "r": f"jax.nn.sigmoid(ar{t})",
        "rh": f"r{t} * {h}",
        "ac": f"x{t} @ Wc + rh{t} @ Uc + bc",
        "c": f"jnp.tanh(ac{t})",
        "h": f"(1 - z{t}) * {h} + z{t} * c{t}",
    }
    return tuple(Node(f"{name}{t}", "n H", text) for name, text in formulas.items())


STEPS = (*step(1), *step(2), *step(3))
NODES = (*GIVEN, *STEPS, Node("y", "3 n H", "jnp.stack([h1, h2, h3])"))


def places() -> dict[str, tuple[float, float]]:
    """A picture: the weights at the left, a row for each step of time."""
    found = {"h0": (2.0, 9.4), "y": (10.4, 5.2)}
    weights = [node.name for node in GIVEN if node.name[0] in "WUb"]
    found |= {name: (0.0, 11.0 - 1.25 * k) for k, name in enumerate(weights)}
    of_step = {
        **{"x": (2.0, 1.3), "az": (3.5, 1.4), "z": (4.6, 1.4), "ar": (3.5, -0.6)},
        **{"r": (4.6, -0.6), "rh": (5.7, -0.6), "ac": (6.8, 0.2), "c": (7.9, 0.2)},
        "h": (9.0, 0.8),
    }
    for t in (1, 2, 3):
        base = 4.2 * (3 - t) + 1.0
        found |= {f"{name}{t}": (x, base + y) for name, (x, y) in of_step.items()}
    return found


def inputs(at: Sizes) -> dict[str, np.ndarray]:
    """Gates that are open in part, and a state that is not zero."""
    normal = np.random.default_rng(at.seed).standard_normal
    shapes = {node.name: [at[a] for a in node.shape.split()] for node in GIVEN}
    scale = {"W": at["E"] ** -0.5, "U": 1.2 * at["H"] ** -0.5, "b": 0.3, "h": 0.5}
    return {
        name: scale.get(name[0], 1.0) * normal(shape) for name, shape in shapes.items()
    }


WEIGHTS = [node.name for node in GIVEN if node.name[0] in "WUb"]
EXERCISE = Exercise(
    6,
    "a GRU through three steps of time",
    Network(
        NODES,
        inputs,
        home=sizes(0, n=16, E=12, H=32),
        pair=sizes(1, n=2, E=3, H=5),
        tied=sizes(2, n=5, E=4, H=6),
        letters={"n": "h0.shape[0]", "E": "x1.shape[1]", "H": "h0.shape[1]"},
        places=places(),
    ),
    effort={
        **{"h3": (2, 0), "c3": (2, 0), "ac3": (3, 0), "rh3": (3, 0), "r3": (2, 0)},
        **{"ar3": (3, 0), "z3": (5, 1), "az3": (2, 0), "h2": (15, 2)},
        **{"ac2": (5, 1), "ar2": (8, 1), "az2": (5, 1), "h1": (5, 1)},
        **{"ac1": (2, 0), "ar1": (2, 0), "az1": (2, 0), "h0": (3, 1)},
        **{name: (5, 1) if name == "Wz" else (2, 0) for name in WEIGHTS},
    },
    probes=("h2", "h1", "ac3"),
    least=(
        *("h1", "h2", "z1", "z2", "z3", "r1", "r2", "r3"),
        *("c1", "c2", "c3", "rh1", "rh2", "rh3"),
    ),
)
