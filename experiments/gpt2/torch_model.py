"""GPT-2's loss in plain PyTorch, from the parameters of `jaxninja.models.gpt2`."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from jaxninja.models.gpt2 import LAYER


def tensors(params):
    """Name -> tensor that has a gradient, a copy of each array."""
    copies = {name: np.array(p) for name, p in params.items()}
    return {name: torch.tensor(p, requires_grad=True) for name, p in copies.items()}


def loss(params, ids, labels, heads, fused=False):
    """Mean cross entropy in nats; `fused` takes PyTorch's own attention."""
    T, C = ids.shape[1], params["wte"].shape[1]
    x = params["wte"][ids] + params["wpe"][:T]
    for l in range(len(params["Wo"])):
        x = layer({name: params[name][l] for name in LAYER}, x, heads, fused)
    y = F.layer_norm(x, (C,), params["gainf"], params["biasf"])
    logits = y.reshape(-1, C) @ params["wte"].T
    return F.cross_entropy(logits, labels.reshape(-1).long(), ignore_index=-1)


def layer(w, x, heads, fused):
    C = x.shape[-1:]
    a = F.layer_norm(x, C, w["gain1"], w["bias1"])
    x = x + attention(a @ w["Wqkv"] + w["bqkv"], heads, fused) @ w["Wo"] + w["bo"]
    a = F.layer_norm(x, C, w["gain2"], w["bias2"])
    f = a @ w["Wfc"] + w["bfc"]
    return x + F.gelu(f, approximate="tanh") @ w["Wproj"] + w["bproj"]


def attention(qkv, heads, fused):
    B, T, _ = qkv.shape
    q, k, v = (a.reshape(B, T, heads, -1).transpose(1, 2) for a in qkv.chunk(3, dim=-1))
    if fused:
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        z = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        o = torch.softmax(z.masked_fill(later, -math.inf), -1) @ v
    return o.transpose(1, 2).reshape(B, T, -1)


def adamw(params, matrices, lr, decay, betas=(0.9, 0.999), **options):
    """AdamW with decay on the matrices only; `options` are PyTorch's own."""
    groups = [
        {"params": [p for n, p in params.items() if n in matrices]},
        {"params": [p for n, p in params.items() if n not in matrices]},
    ]
    groups[0]["weight_decay"], groups[1]["weight_decay"] = decay, 0.0
    return torch.optim.AdamW(groups, lr=lr, betas=betas, **options)
