"""Layer normalisation: 30 answers that are wrong, 8 that are right in another form."""

ONE = "dx = ddiff\ndx += "

# the gradient that fails, the answer, and what of the hint tells why; "" if nothing
WRONG = [
    ("gamma", "(xhat * dy).sum(0)", ""),
    ("gamma", "(xhat * dy).sum(2)", ""),
    ("gamma", "(xhat * dy).mean((0, 1))", "a mean stands where a sum should"),
    ("gamma", "dy.sum((0, 1))", "the factor xhat is missing"),
    ("gamma", "(y * dy).sum((0, 1))", "y stands where xhat should"),
    ("gamma", "(diff * dy).sum((0, 1))", "diff stands where xhat should"),
    ("gamma", "xhat * dy", "the sum over axis (0, 1) of xhat * dy is missing"),
    ("beta", "dy.sum(0)", "the sum goes over axis 0, it should go over axis (0, 1)"),
    ("beta", "dy.mean((0, 1))", "a mean stands where a sum should"),
    ("beta", "(gamma * dy).sum((0, 1))", ""),
    ("xhat", "dy", "the factor gamma is missing"),
    ("xhat", "gamma * dy + beta", ""),
    ("xhat", "dy / gamma", ""),
    ("rstd", "diff * dxhat", "the sum over axis 2 of diff * dxhat is missing"),
    ("rstd", "(diff * dxhat).sum(1, keepdims=True)", "it should go over axis 2"),
    ("rstd", "(xhat * dxhat).sum(2, keepdims=True)", "xhat stands where diff should"),
    ("rstd", "(diff * dy).sum(2, keepdims=True)", "dy stands where dxhat should"),
    ("var", "0.5 * (var + 1e-5) ** -1.5 * drstd", "the sign is wrong"),
    ("var", "-0.5 * (var + 1e-5) ** -0.5 * drstd", "is to the power -0.5"),
    ("var", "-0.5 * var**-1.5 * drstd", "1e-05"),
    ("diff2", "jnp.ones_like(diff2) * dvar", "1/D is missing"),
    ("diff2", "1.0 / (D - 1) * jnp.ones_like(diff2) * dvar", "D - 1 stands where D"),
    ("diff2", "1.0 / 32 * jnp.ones_like(diff2) * dvar", "32 is D, and here D is 5"),
    ("diff", "rstd * dxhat", "the branch by diff2 is missing: add it with +="),
    ("diff", "2.0 * diff * ddiff2", "the branch by xhat is missing: add it with +="),
    ("diff", "rstd * dxhat + diff * ddiff2", "diff"),
    ("mean", "-ddiff.sum((0, 1), keepdims=True)[0]", ""),
    ("mean", "ddiff.sum(2, keepdims=True)", "sign"),
    ("x", "ddiff", "the branch by mean is missing"),
    ("x", f"{ONE}jnp.ones_like(x) * dmean", "1/D is missing"),
    ("x", f"{ONE}1.0 / x.shape[1] * jnp.ones_like(x) * dmean", ""),
]

RIGHT = [
    ("gamma", "jnp.einsum('ntd,ntd->d', xhat, dy)"),
    ("gamma", "(xhat * dy).reshape(-1, D).sum(0)"),
    ("beta", "dy.sum(0).sum(0)"),
    ("rstd", "jnp.einsum('ntd,ntd->nt', diff, dxhat)[..., None]"),
    ("var", "-0.5 * rstd**3 * drstd"),
    ("diff2", "jnp.broadcast_to(dvar / D, diff2.shape)"),
    ("mean", "-(ddiff @ jnp.ones((D, 1)))"),
    ("x", "ddiff - ddiff.mean(2, keepdims=True)"),
]
