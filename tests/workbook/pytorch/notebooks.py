"""Notebooks as learners of the lecture have them, made small."""

import nbformat

from jaxninja.workbook.pytorch.importer import imported

SETUP = """%matplotlib inline
import torch
import torch.nn.functional as F
import math

n_embd = 10
n_hidden = 64
g = torch.Generator().manual_seed(2147483647)
C = torch.randn((vocab_size, n_embd), generator=g)
W1 = torch.randn((n_embd * block_size, n_hidden), generator=g) * 0.2
bngain = torch.randn((1, n_hidden)) * 0.1 + 1.0
batch_size = 32
n = batch_size
ix = torch.randint(0, Xtr.shape[0], (batch_size,), generator=g)
Xb, Yb = Xtr[ix], Ytr[ix]"""
FORWARD = """emb = C[Xb]
embcat = emb.view(emb.shape[0], -1)
hprebn = embcat @ W1 + b1
bnmeani = 1/n * hprebn.sum(0, keepdim=True)
bndiff = hprebn - bnmeani
bndiff2 = bndiff**2
bnvar = 1/(n-1) * bndiff2.sum(0, keepdim=True)
bnvar_inv = (bnvar + 1e-5)**-0.5
bnraw = bndiff * bnvar_inv
hpreact = bngain * bnraw + bnbias
h = torch.tanh(hpreact)
logits = h @ W2 + b2
logit_maxes = logits.max(1, keepdim=True).values
norm_logits = logits - logit_maxes
counts = norm_logits.exp()
counts_sum = counts.sum(1, keepdim=True)
counts_sum_inv = counts_sum**-1
probs = counts * counts_sum_inv
logprobs = probs.log()
loss = -logprobs[range(n), Yb].mean()
loss.backward()"""
# The answers of one who follows the lecture; `{}` stands for none.
ATOMIC = {
    "logprobs": "dlogprobs = torch.zeros_like(logprobs)\n"
    "dlogprobs[range(n), Yb] = -1.0/n",
    "probs": "dprobs = (1.0 / probs) * dlogprobs  # boosts the bad ones",
    "counts_sum_inv": "dcounts_sum_inv = (counts * dprobs).sum(1, keepdim=True)",
    "counts_sum": "dcounts_sum = -(counts_sum**-2) * dcounts_sum_inv",
    "counts": "dcounts = counts_sum_inv * dprobs\n"
    "dcounts += torch.ones_like(counts) * dcounts_sum",
    "norm_logits": "dnorm_logits = counts * dcounts",
    "logit_maxes": "dlogit_maxes = (-dnorm_logits).sum(1, keepdim=True)",
    "logits": "dlogits = dnorm_logits.clone()\ndlogits += F.one_hot(logits.max(1)"
    ".indices, num_classes=logits.shape[1]) * dlogit_maxes",
    "h": "dh = dlogits @ W2.T",
    "W2": "dW2 = h.T @ dlogits",
    "b2": "db2 = dlogits.sum(0)",
    "hpreact": "dhpreact = (1.0 - h**2) * dh",
    "bngain": "dbngain = (bnraw * dhpreact).sum(0, keepdim=True)",
    "bnbias": "dbnbias = dhpreact.sum(0, keepdim=True)",
    "bnraw": "dbnraw = bngain * dhpreact",
    "bnvar_inv": "dbnvar_inv = (bndiff * dbnraw).sum(0, keepdim=True)",
    "bnvar": "dbnvar = (-0.5 * (bnvar + 1e-5)**-1.5) * dbnvar_inv",
    "bndiff2": "dbndiff2 = (1.0/(n-1)) * torch.ones_like(bndiff2) * dbnvar",
    "bndiff": "dbndiff = bnvar_inv * dbnraw\ndbndiff += 2*bndiff * dbndiff2",
    "bnmeani": "dbnmeani = (-dbndiff).sum(0, keepdim=True)",
    "hprebn": "dhprebn = dbndiff.clone()\n"
    "dhprebn += 1.0/n * (torch.ones_like(hprebn) * dbnmeani)",
    "embcat": "dembcat = dhprebn @ W1.T",
    "W1": "dW1 = embcat.T @ dhprebn",
    "b1": "db1 = dhprebn.sum(0)",
    "emb": "demb = dembcat.view(emb.shape)",
    "C": "dC = torch.zeros_like(C)\nfor k in range(Xb.shape[0]):\n"
    "  for j in range(Xb.shape[1]):\n    ix = Xb[k,j]\n    dC[ix] += demb[k,j]",
}
ENTROPY = "dlogits = F.softmax(logits, 1)\ndlogits[range(n), Yb] -= 1\ndlogits /= n"
BATCHNORM = """dhprebn = bngain*bnvar_inv/n * (n*dhpreact - dhpreact.sum(0)
    - n/(n-1)*bnraw*(dhpreact*bnraw).sum(0))"""
CHECK = "cmp('logits', dlogits, logits)"


def atomic(**answers: str | None) -> str:
    """The first exercise's cell, with other answers for some; None is none."""
    lines = {**ATOMIC, **answers}
    return "\n".join(text for text in lines.values() if text is not None)


def solved(number: int, name: str, answer: str) -> list[str]:
    """All cells, with one answer of one's own."""
    return answered({(number, name): answer})


def answered(answers: dict[tuple[int, str], str]) -> list[str]:
    """All cells, with answers of one's own by exercise and name."""
    own = {name: text for (number, name), text in answers.items() if number == 1}
    one, two = atomic(**own), answers.get((2, "logits"), ENTROPY)
    three = answers.get((3, "hprebn"), BATCHNORM)
    return [
        *(SETUP, FORWARD, f"# Exercise 1: all of it\n{one}\n{CHECK}"),
        *("# Exercise 2: in one go", f"# backward pass\n{two}\n{CHECK}"),
        *("# Exercise 3: batchnorm", f"# backward pass\n\n{three}"),
    ]


def written(folder, cells, name="lecture.ipynb"):
    """The notebook's file; a cell that begins with a title is text."""
    made = [
        nbformat.v4.new_markdown_cell(text)
        if text.startswith("## ")
        else nbformat.v4.new_code_cell(text)
        for text in cells
    ]
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def read(folder, cells) -> dict:
    """What is imported, by number."""
    return {one.number: one for one in imported(written(folder, cells))}
