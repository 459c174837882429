"""Answers as people write them in PyTorch: right ones, and wrong ones that stay so."""

ENUMERATED = """dC = torch.zeros_like(C)
for i, row in enumerate(Xb):
    for j, ix in enumerate(row):
        dC[ix.item()] += demb[i][j]"""
ZIPPED = """dC = torch.zeros((vocab_size, n_embd))
for ix, g in zip(Xb.view(-1), demb.view(-1, n_embd)):
    dC[ix] += g"""
ONE_HOT = """dC = F.one_hot(Xb.flatten(), num_classes=vocab_size).float().T \\
    @ demb.flatten(0, 1)"""
INDEX_ADD = """dC = torch.zeros_like(C)
dC.index_add_(dim=0, index=Xb.view(-1), source=demb.view(-1, n_embd));"""
INDEX_PUT = """dC = torch.zeros_like(C)
dC.index_put_((Xb,), demb, accumulate=True)"""
SCATTER_ADD = """dC = torch.zeros_like(C).scatter_add(
    0, Xb.view(-1, 1).expand(-1, n_embd), demb.view(-1, n_embd))"""
EINSUM = """dC = torch.einsum('btv,bte->ve', F.one_hot(Xb, C.size(0)).double(), demb)"""
SCATTER = """mask = torch.zeros_like(logits).scatter_(
    1, logits.argmax(dim=1, keepdim=True), 1.0)
dlogits = dnorm_logits + mask * dlogit_maxes"""
UNPACKED = """_, idx = torch.max(logits, dim=1)
dlogits = dnorm_logits.clone()
dlogits[torch.arange(n), idx] += dlogit_maxes.squeeze(1)"""
NAMED_MAX = """best = logits.max(1, keepdim=True)
rows = list(range(batch_size))
dlogits = dnorm_logits.detach().clone()
dlogits[rows, best.indices.view(-1)] += dlogit_maxes[rows, 0]"""
WRITTEN = """dmax = torch.zeros_like(logits)
dmax[range(n), logits.argmax(1)] = 1
dlogits = dnorm_logits + dmax * dlogit_maxes"""
ZEROS = """dcounts = torch.zeros_like(counts)
dcounts += counts_sum_inv * dprobs
dcounts += dcounts_sum.expand_as(counts)"""
IN_PLACE = """dhprebn = dbndiff.clone()
dhprebn.add_(dbnmeani.div(n).expand(n, -1))"""
ROW_BY_ROW = """dlogprobs = torch.zeros(logprobs.shape)
for i in range(n):
    dlogprobs[i][Yb[i]] = -1/n"""
HELPER = """def linear(d, x, w):
    return d.mm(w.t()), torch.matmul(x.transpose(0, 1), d), torch.sum(d, dim=0)

with torch.no_grad():
    dh, dW2, db2 = linear(dlogits, h, W2)"""
FUNCTIONS = (
    """dhpreact = torch.mul(torch.sub(torch.tensor(1.0), torch.pow(h, 2)), dh)"""
)
JACOBIAN = """p = torch.softmax(logits, dim=-1)
J = torch.diag_embed(p) - p.unsqueeze(2) @ p.unsqueeze(1)
y = torch.zeros_like(p)
y[range(n), Yb] = -1 / p[range(n), Yb]
dlogits = torch.einsum('ij,ijk->ik', y, J) / n"""
STATISTICS = """mu = hprebn.mean(0, keepdim=True)
sigma = torch.sqrt(hprebn.var(0, keepdim=True, unbiased=True) + 1e-5)
xhat = (hprebn - mu) / sigma
dxhat = dhpreact * bngain
dhprebn = 1/sigma * (dxhat - dxhat.mean(0, True) - xhat * (dxhat * xhat).sum(
    dim=0, keepdim=True).div(n - 1))"""

RIGHT = [
    (1, "logprobs", "dlogprobs = -F.one_hot(Yb, num_classes=vocab_size) / n"),
    (1, "logprobs", "dlogprobs = torch.zeros((n, 1)).repeat(1, vocab_size)\n"
     "dlogprobs.scatter_(1, Yb.view(-1, 1), -1.0 / n)"),
    (1, "logprobs", ROW_BY_ROW),
    (1, "probs", "dprobs = dlogprobs * probs.pow(-1)"),
    (1, "probs", "dprobs = probs.reciprocal()\ndprobs *= dlogprobs"),
    (1, "counts_sum_inv", "dcounts_sum_inv = torch.sum(counts * dprobs, 1, True)"),
    (1, "counts_sum_inv", "dcounts_sum_inv = (counts*dprobs).sum(axis=-1)[:, None]"),
    (1, "counts_sum_inv", "dcounts_sum_inv = (counts*dprobs).sum(1).unsqueeze(-1)"),
    (1, "counts", ZEROS),
    (1, "counts", "dcounts = counts_sum_inv * dprobs\n"
     "dcounts = dcounts + dcounts_sum.repeat(1, counts.size(1))"),
    (1, "norm_logits", "dnorm_logits = norm_logits.exp().mul(dcounts)"),
    (1, "logit_maxes", "dlogit_maxes = dnorm_logits.sum(1).neg().view(n, 1)"),
    (1, "logits", SCATTER),
    (1, "logits", UNPACKED),
    (1, "logits", NAMED_MAX),
    (1, "logits", WRITTEN),
    (1, "h", HELPER),
    (1, "hpreact", FUNCTIONS),
    (1, "hpreact", "dhpreact = dh.clone()\ndhpreact.mul_(1 - torch.square(h))"),
    (1, "bndiff2", "dbndiff2 = (dbnvar / (n - 1)).expand(*bndiff2.shape)"),
    (1, "hprebn", IN_PLACE),
    (1, "emb", "demb = dembcat.view_as(emb)"),
    (1, "emb", "demb = dembcat.reshape((-1, block_size, n_embd))"),
    (1, "C", ENUMERATED),
    (1, "C", ZIPPED),
    (1, "C", ONE_HOT),
    (1, "C", INDEX_ADD),
    (1, "C", INDEX_PUT),
    (1, "C", SCATTER_ADD),
    (1, "C", EINSUM),
    (2, "logits", "p = F.softmax(logits, dim=1)\n"
     "dlogits = (p - F.one_hot(Yb, vocab_size)) / n"),
    (2, "logits", "dlogits = logits.softmax(-1).detach()\n"
     "dlogits[range(batch_size), Yb] -= 1.0\ndlogits *= (1 / batch_size)"),
    (2, "logits", JACOBIAN),
    (3, "hprebn", STATISTICS),
    (3, "hprebn", "dbnraw = bngain * dhpreact\n"
     "dhprebn = bnvar_inv * (dbnraw - dbnraw.mean(0) - bnraw * (dbnraw * bnraw)"
     ".sum(0) / (n - 1))"),
]  # fmt: skip

# Of two entries of one name PyTorch's += keeps one; JAX's .add would add both.
WRONG = [
    (1, "C", "dC = torch.zeros_like(C)\ndC[Xb] += demb", ""),
    (1, "C", "dC = torch.zeros_like(C)\n"
     "for i in range(n):\n  dC[Xb[i]] += demb[i]", ""),
    (1, "counts", "dcounts = counts_sum_inv * dprobs", "one branch"),
    (1, "counts", "dcounts = counts_sum_inv * dprobs\n"
     "dcounts = torch.ones_like(counts) * dcounts_sum", "one branch"),
    (1, "bnvar", "dbnvar = 0.5 * (bnvar + 1e-5)**-1.5 * dbnvar_inv", "no minus"),
    (1, "W2", "dW2 = dlogits.T @ h", "transposed"),
    (1, "b2", "db2 = dlogits.mean(0)", "mean"),
    (1, "bndiff2", "dbndiff2 = torch.ones_like(bndiff2) * dbnvar / n", "n"),
    (2, "logits", "dlogits = F.softmax(logits, 1)\n"
     "dlogits[range(n), Yb] -= 1", "no 1/n"),
    (2, "logits", "dlogits = F.softmax(logits, 0)\n"
     "dlogits[range(n), Yb] -= 1\ndlogits /= n", "softmax axis"),
    (2, "logits", "dlogits = (F.softmax(logits, 1) - F.one_hot(Yb, 27)) / n", "sizes"),
    (3, "hprebn", "dhprebn = bngain*bnvar_inv*(dhpreact - dhpreact.mean(0))", ""),
]  # fmt: skip
