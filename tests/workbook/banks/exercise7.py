"""Causal self-attention: wrong answers, and right ones in another form."""

ROW = "(att * datt).sum(2, keepdims=True)"

# the gradient that fails, the answer, and what of the hint tells why; "" if nothing
WRONG = [
    ("Wo", "mixed.mT @ dy", "the sum over axis 0 of mixed.mT @ dy is missing"),
    ("Wo", "(mixed.mT @ dy).mean(0)", "a mean stands where a sum should"),
    ("Wo", "(dy.mT @ mixed).sum(0)", "transposed"),
    ("Wo", "(v.mT @ dy).sum(0)", "v stands where mixed should: the wrong saved value"),
    ("mixed", "dy @ Wo", ""),
    ("mixed", "dy @ Wv", ""),
    ("mixed", "dy @ Wo.T / K**0.5", "times K**-0.5"),
    ("att", "mixed @ v.mT", "mixed stands where dmixed should: the array in place"),
    ("att", "dmixed @ k.mT", "k stands where v should"),
    ("att", "v @ dmixed.mT", "transposed"),
    ("v", "att @ dmixed", "att should be transposed"),
    ("v", "datt.mT @ dmixed", "datt stands where att should"),
    ("v", "scores.mT @ dmixed", "scores stands where att should"),
    ("masked", "att * (1.0 - att) * datt", "the diagonal of softmax's Jacobian alone"),
    ("masked", "att * datt", "is not subtracted: that term is missing"),
    ("masked", f"datt - {ROW}", "the factor att is missing"),
    ("masked", f"att * (datt - {ROW.replace('2', '1')})", "it should go over axis 2"),
    ("masked", "att * (datt - datt.sum(2, keepdims=True))", "factor att is missing"),
    ("masked", f"att * (datt - {ROW.replace('sum', 'mean')})", "a mean stands"),
    ("masked", f"att * (datt + {ROW})", "is added, it should be subtracted"),
    ("masked", f"-att * (datt - {ROW})", "the wrong sign"),
    ("scores", "dmasked", "is not masked"),
    ("scores", "jnp.where(seen, dmasked, -jnp.inf)", "-jnp.inf stands where 0 should"),
    ("scores", "jnp.where(seen.T, dmasked, 0.0)", ""),
    ("scores", "jnp.where(seen, 0.0, dmasked)", "stands where jnp.where(seen, dmas"),
    ("q", "dscores @ k", "the division by K ** 0.5 is missing"),
    ("q", "dscores @ k / K", "the power 0.5 of K is missing"),
    ("q", "dscores.mT @ k / K**0.5", ""),
    ("q", "dscores @ q / K**0.5", "q stands where k should"),
    ("k", "dscores @ q / K**0.5", "dscores should be transposed"),
    ("k", "dscores.mT @ k / K**0.5", "k stands where q should"),
    ("Wq", "(x.mT @ dk).sum(0)", "dk stands where dq should"),
    ("Wq", "(q.mT @ dq).sum(0)", ""),
    ("Wk", "(x.mT @ dq).sum(0)", "dq stands where dk should"),
    ("Wv", "x.mT @ dv", "the sum over axis 0 of x.mT @ dv is missing"),
    ("Wv", "(x.mT @ dmixed).sum(0)", "dmixed stands where dv should"),
    ("x", "dq @ Wq.T", "its branch by q only"),
    ("x", "dq @ Wq.T + dk @ Wk.T", "the branch by v is missing: add it with +="),
    ("x", "dq @ Wq.T + dv @ Wv.T", "the branch by k is missing: add it with +="),
    ("x", "dx = dq @ Wq.T\ndx = dk @ Wk.T\ndx = dv @ Wv.T", "was overwritten"),
    ("x", "dq @ Wq.T + dk @ Wk.T - dv @ Wv.T", "the branch by v has the wrong sign"),
]

JACOBIAN = """J = att[..., None] * (jnp.eye(att.shape[2]) - att[:, :, None, :])
dmasked = jnp.einsum('ntj,ntjk->ntk', datt, J)"""
RIGHT = [
    ("Wo", "mixed.reshape(-1, K).T @ dy.reshape(-1, dy.shape[2])"),
    ("Wo", "jnp.einsum('ntk,ntd->kd', mixed, dy)"),
    ("att", "jnp.einsum('ntk,nsk->nts', dmixed, v)"),
    ("v", "jnp.einsum('nts,ntk->nsk', att, dmixed)"),
    ("masked", "att * datt - att * (att * datt).sum(-1, keepdims=True)"),
    ("masked", JACOBIAN),
    ("scores", "dmasked * seen"),
    ("q", "jnp.einsum('nts,nsk->ntk', dscores, k) * K**-0.5"),
    ("x", "jnp.concatenate([dq, dk, dv], 2) @ jnp.concatenate([Wq, Wk, Wv], 1).T"),
]
