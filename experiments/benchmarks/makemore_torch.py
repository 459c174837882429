"""makemore's models in PyTorch: functions of the library's parameters, by their names.

The third witness of the tests, and PyTorch's side of the benchmark. They are written as
makemore.py's modules run: whole rows with their padding, recurrences as loops of cells,
attention with its scores written out.
"""

import math

import torch
import torch.nn.functional as F


def loss(name: str, p: dict, ids, labels, model):
    """Mean cross entropy in nats over the labels that are not -1."""
    logits = LOGITS[name](p, ids, model)
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=-1)


def bigram(p, ids, model):
    return p["W"][ids]


def mlp(p, ids, model):
    embs = []
    for _ in range(model.context):
        embs.append(p["C"][ids])
        ids = torch.roll(ids, 1, 1)
        ids[:, 0] = model.vocabulary
    h = torch.tanh(torch.cat(embs, -1) @ p["W1"] + p["b1"])
    return h @ p["W2"] + p["b2"]


def bow(p, ids, model):
    T = ids.shape[1]
    x = p["C"][ids] + p["P"][:T]
    scores = torch.zeros(T, T, dtype=x.dtype).masked_fill(_later(T), -math.inf)
    x = x + F.softmax(scores, -1) @ x
    x = x + torch.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
    return x @ p["W"] + p["bout"]


def rnn(p, ids, model):
    def cell(x, h):
        return torch.tanh(torch.cat([x, h], 1) @ W + p["b"])

    W = torch.cat([p["Wx"], p["Wh"]])
    return _decoded(p, _states(p, ids, cell))


def gru(p, ids, model):
    H = model.hidden
    Wz, Wr, Wc = p["Wx"].split(H, 1)
    Uz, Ur = p["Wg"].split(H, 1)
    bz, br, bc = p["b"].split(H)
    Wz, Wr, Wc = (torch.cat(pair) for pair in ((Wz, Uz), (Wr, Ur), (Wc, p["Wc"])))

    def cell(x, h):
        xh = torch.cat([x, h], 1)
        r = torch.sigmoid(xh @ Wr + br)
        c = torch.tanh(torch.cat([x, r * h], 1) @ Wc + bc)
        z = torch.sigmoid(xh @ Wz + bz)
        return (1 - z) * h + z * c

    return _decoded(p, _states(p, ids, cell))


def lstm(p, ids, model):
    """By PyTorch's own fused layer."""
    x = p["C"][ids].transpose(0, 1)
    first = [p[k].expand(len(ids), -1)[None] for k in ("start", "start_c")]
    weights = [p["Wx"].T, p["Wh"].T, p["b"], torch.zeros_like(p["b"])]
    flags = (True, 1, 0.0, False, False, False)
    first, weights = ([a.contiguous() for a in some] for some in (first, weights))
    h = torch.lstm(x, first, weights, *flags)[0]
    return _decoded(p, h.transpose(0, 1))


def transformer(p, ids, model):
    N, T = ids.shape
    x = p["C"][ids] + p["P"][:T]
    E = x.shape[-1]

    def norm(x, gamma, beta):
        return F.layer_norm(x, (E,), gamma, beta, model.eps)

    def heads(a):
        return a.view(N, T, model.heads, -1).transpose(1, 2)

    for n in range(1, model.layers + 1):
        w = {k.removesuffix(str(n)): v for k, v in p.items() if k.endswith(str(n))}
        qkv = norm(x, w["gamma_a"], w["beta_a"]) @ w["Wqkv"] + w["bqkv"]
        q, k, v = map(heads, qkv.split(E, 2))
        scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(k.shape[-1]))
        y = F.softmax(scores.masked_fill(_later(T), -math.inf), -1) @ v
        y = y.transpose(1, 2).contiguous().view(N, T, E)
        x = x + y @ w["Wo"] + w["bo"]
        f = norm(x, w["gamma_m"], w["beta_m"]) @ w["Wf"] + w["bf"]
        cube = math.sqrt(2 / math.pi) * (f + 0.044715 * torch.pow(f, 3.0))
        x = x + (0.5 * f * (1 + torch.tanh(cube))) @ w["Wp"] + w["bp"]
    return norm(x, p["gamma"], p["beta"]) @ p["W"]


def wavenet(p, ids, model):
    x = p["C"][ids]
    for n in range(1, model.layers + 1):
        N, T, C = x.shape
        x = x.view(N, T // 2, C * 2) @ p[f"W{n}"]
        mean, var = x.mean((0, 1)), x.var((0, 1), correction=model.ddof)
        x = (x - mean) / torch.sqrt(var + model.eps)
        x = torch.tanh(p[f"gamma{n}"] * x + p[f"beta{n}"])
    last = model.layers + 1
    return x[:, 0] @ p[f"W{last}"] + p[f"b{last}"]


def _later(T):
    return torch.ones(T, T).tril() == 0


def _states(p, ids, cell):
    emb, h = p["C"][ids], p["start"].expand(len(ids), -1)
    states = []
    for t in range(ids.shape[1]):
        h = cell(emb[:, t], h)
        states.append(h)
    return torch.stack(states, 1)


def _decoded(p, h):
    return h @ p["W"] + p["bout"]


LOGITS = {
    f.__name__: f for f in (bigram, mlp, bow, rnn, gru, lstm, transformer, wavenet)
}
