"""A transformer block: wrong answers, and right ones in another form."""

NORM = "{1} * ({0} - {0}.mean(2, keepdims=True) - {2} * ({0} * {2}).mean(2, {3}))"
OF_M = NORM.format("dmhat", "rstd_m", "mhat", "keepdims=True")
OF_A = NORM.format("dahat", "rstd_a", "ahat", "keepdims=True")
GELU = "(s + h * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * f**2)) * dh"
SIDE = "jnp.concatenate([{}], 1).swapaxes(1, 2).reshape(n, T, 3 * E)"

# the gradient that fails, the answer, and what of the hint tells why; "" if nothing
WRONG = [
    ("h", "dy @ Wf", ""),
    ("Wp", "h.mT @ dy", "the sum over axis 0 of h.mT @ dy is missing"),
    ("Wp", "(f.mT @ dy).sum(0)", "f stands where h should: the wrong saved value"),
    ("bp", "dy.sum(0)", "the sum goes over axis 0, it should go over axis (0, 1)"),
    ("bp", "dy.mean((0, 1))", "a mean stands where a sum should"),
    ("f", "s * dh", ""),
    ("f", "s * (1.0 - s) * dh", ""),
    ("f", GELU.replace("h * (1.0", "f * (1.0"), "the factor s is missing"),
    ("f", GELU.replace("0.134145", "0.044715"), ""),
    ("f", GELU.replace("(1.0 - s)", "s"), "s stands where 1.0 - s should"),
    ("Wf", "(mhat.mT @ df).sum(0)", "mhat stands where m should"),
    ("bf", "df.sum(1)", "it should go over axis (0, 1)"),
    ("m", "df @ Wp", ""),
    ("gamma_m", "(m * dm).sum((0, 1))", "m stands where mhat should"),
    ("gamma_m", "dm.sum((0, 1))", "the factor mhat is missing"),
    ("beta_m", "(gamma_m * dm).sum((0, 1))", ""),
    ("mhat", "dm", "the factor gamma_m is missing"),
    ("x2", "dy", "the branch by mhat is missing: add it with +="),
    ("x2", OF_M, "the branch by y is missing: add it with +="),
    ("x2", f"dy - {OF_M}", "the branch by mhat has the wrong sign"),
    ("x2", "dy + rstd_m * dmhat", ""),
    ("x2", f"dy + {OF_M.replace('.mean(2', '.sum(2')}", ""),
    ("c", "dx2 @ Wo", "Wo should be transposed"),
    ("c", "dy @ Wo.T", "dy stands where dx2 should"),
    ("Wo", "(c.mT @ dy).sum(0)", "dy stands where dx2 should"),
    ("bo", "dy.sum((0, 1))", "dy stands where dx2 should"),
    ("o", "dc.reshape(n, H, T, K)", ""),
    ("p", "do @ k.mT", "k stands where v should"),
    ("v", "p @ do", "p should be transposed"),
    ("z", "p * (1.0 - p) * dp", "the diagonal of softmax's Jacobian alone"),
    ("z", "p * (dp - (p * dp).sum(2, keepdims=True))", "it should go over axis 3"),
    ("q", "dz @ k", "the division by K ** 0.5 is missing"),
    ("q", "dz @ k / E**0.5", "E stands where K should"),
    ("k", "dz @ q / K**0.5", "dz should be transposed"),
    ("qkv", SIDE.format("dk, dq, dv"), ""),
    ("qkv", "jnp.concatenate([dq, dk, dv], 1).reshape(n, T, 3 * E)", ""),
    ("Wqkv", "(ahat.mT @ dqkv).sum(0)", "ahat stands where a should"),
    ("bqkv", "dqkv.mean((0, 1))", "a mean stands where a sum should"),
    ("x", "dx2", "the branch by ahat is missing"),
    ("x", f"dy + {OF_A}", "dy stands where dx2 should"),
]

TANH = """u = 0.7978845608028654 * (f + 0.044715 * f**3)
du = 0.7978845608028654 * (1 + 3 * 0.044715 * f**2)
df = 0.5 * (1 + jnp.tanh(u) + f * (1 - jnp.tanh(u) ** 2) * du) * dh"""
PARTS = """parts = [d.swapaxes(1, 2).reshape(n, T, E) for d in (dq, dk, dv)]
dqkv = jnp.concatenate(parts, -1)"""
RIGHT = [
    ("Wp", "jnp.einsum('ntf,nte->fe', h, dy)"),
    ("f", TANH),
    ("gamma_m", "jnp.einsum('nte,nte->e', mhat, dm)"),
    ("x2", f"dy + {OF_M}"),
    ("o", "dc.reshape(n, T, H, -1).transpose(0, 2, 1, 3)"),
    ("p", "jnp.einsum('nhtk,nhsk->nhts', do, v)"),
    ("z", "p * dp - p * (p * dp).sum(-1, keepdims=True)"),
    ("qkv", PARTS),
    ("Wqkv", "a.reshape(n * T, E).T @ dqkv.reshape(n * T, 3 * E)"),
]
