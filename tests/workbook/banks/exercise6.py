"""A GRU through time: wrong answers, and right ones in another form."""

H2 = [
    "dy[1]",
    "(1.0 - z3) * dh3",
    "r3 * drh3",
    "dar3 @ Ur.T",
    "daz3 @ Uz.T",
]


def h2(*left_out):
    """The branches of dh2 without some."""
    kept = [text for k, text in enumerate(H2) if k not in left_out]
    return " + ".join(kept)


# the gradient that fails, the answer, and what of the hint tells why; "" if nothing
WRONG = [
    ("h3", "dy[0]", ""),
    ("h3", "dy.sum(0)", ""),
    ("c3", "dh3", "the factor z3 is missing"),
    ("c3", "(1.0 - z3) * dh3", ""),
    ("c3", "c3 * dh3", "c3 stands where z3 should: the wrong saved value"),
    ("ac3", "(1.0 - c3) * dc3", "the power 2 of c3 is missing"),
    ("ac3", "c3 * (1.0 - c3) * dc3", ""),
    ("ac3", "(1.0 - c3**2) * dh3", "dh3 stands where dc3 should"),
    ("rh3", "dac3 @ Uc", "Uc should be transposed"),
    ("rh3", "dac3 @ Ur.T", "Ur stands where Uc should"),
    ("r3", "h3 * drh3", "h3 stands where h2 should"),
    ("r3", "h1 * drh3", "h1 stands where h2 should"),
    ("ar3", "r3 * dr3", "the factor (1.0 - r3) is missing"),
    ("ar3", "(1.0 - r3**2) * dr3", ""),
    ("z3", "c3 * dh3", "h2 is not subtracted"),
    ("z3", "(c3 + h2) * dh3", "h2 is added, it should be subtracted"),
    ("z3", "(h2 - c3) * dh3", "c3 and h2 are exchanged"),
    ("az3", "(1.0 - z3) * dz3", "the factor z3 is missing"),
    ("h2", h2(0), "the branch by y is missing"),
    ("h2", h2(1), "the branch by h3 is missing"),
    ("h2", h2(2), "the branch by rh3 is missing"),
    ("h2", h2(3), "the branch by ar3 is missing"),
    ("h2", h2(1, 2, 3, 4), "its branch by y only"),
    ("h2", h2().replace("(1.0 - z3)", "z3"), "z3 stands where 1.0 - z3 should"),
    ("ac2", "(1.0 - c2**2) * z2 * dh3", "dh3 stands where dh2 should"),
    ("az2", "z2 * (1.0 - z2) * (c2 - h2) * dh2", "h2 stands where h1 should"),
    ("h1", h2(0).replace("3", "2").replace("drh2", "(dac2 @ Uc.T)"), "by y is missing"),
    ("Wz", "x3.T @ daz3", "its branch by az3 only"),
    ("Wz", "x3.T @ daz3 + x2.T @ daz2", "the branch by az1 is missing"),
    ("Wz", "(x1 + x2 + x3).T @ (daz1 + daz2 + daz3)", ""),
    ("Uz", "h3.T @ daz3 + h2.T @ daz2 + h1.T @ daz1", ""),
    ("bz", "daz3.sum(0)", "its branch by az3 only"),
    ("bz", "(daz1 + daz2 + daz3).mean(0)", ""),
    ("bz", "daz3 + daz2 + daz1", ""),
    ("Uc", "h2.T @ dac3 + h1.T @ dac2 + h0.T @ dac1", ""),
]

STEP = """def step(dh, h, z, r, rh, c):
    dac = (1 - c**2) * z * dh
    drh = dac @ Uc.T
    dar, daz = r * (1 - r) * h * drh, z * (1 - z) * (c - h) * dh
    return dac, dar, daz, (1 - z) * dh + r * drh + dar @ Ur.T + daz @ Uz.T
of_two = step(dh2, h1, z2, r2, rh2, c2)
dac2 = of_two[0]"""
RIGHT = [
    ("ac3", "dc3 - c3 * c3 * dc3"),
    ("rh3", "jnp.einsum('nk,jk->nj', dac3, Uc)"),
    ("z3", "c3 * dh3 - h2 * dh3"),
    ("ar3", "(r3 - r3**2) * dr3"),
    ("h2", "dy[1] + dh3 - z3 * dh3 + r3 * drh3 + dar3 @ Ur.T + daz3 @ Uz.T"),
    ("ac2", STEP),
    ("Wz", "sum(x.T @ d for x, d in ((x1, daz1), (x2, daz2), (x3, daz3)))"),
    ("Uz", "jnp.concatenate([h0, h1, h2]).T @ jnp.concatenate([daz1, daz2, daz3])"),
    ("bz", "(daz1 + daz2 + daz3).sum(0)"),
]
