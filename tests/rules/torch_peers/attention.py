"""Attention in PyTorch: heads before positions, and any mask given as an array."""

import torch
import torch.nn.functional as F

from jaxninja.rule import Case

SIZES = {"B": 2, "T": 9, "S": 6, "K": 2, "G": 2, "D": 3}


def attention_bias(q, k, v, bias, causal, window, scale, softcap):
    """PyTorch has no cap, and a bias is its mask. A bias that is the same for all keys
    changes nothing: its gradient is 0 but for rounding, which differs."""
    if softcap is not None or bias.shape[-1:] == (1,):
        return NotImplemented
    T, S = q.shape[1], k.shape[1]
    distance = torch.arange(T)[:, None] - torch.arange(S)[None]
    seen = distance >= 0 if causal else distance == distance
    if window is not None:
        seen &= abs(distance) < window
    mask = bias + torch.zeros(T, S, dtype=q.dtype).masked_fill(~seen, -torch.inf)
    q, k, v = (a.transpose(1, 2) for a in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=True)
    return y.transpose(1, 2)


def attention(q, k, v, *static):
    return attention_bias(q, k, v, torch.zeros((), dtype=q.dtype), *static)


PEERS = {"attention": attention, "attention_bias": attention_bias}
MORE = {
    "attention": (
        Case(SIZES, (True, 3, 0.3, None)),
        Case(SIZES | {"T": 260, "S": 257}, (False, 200, None, None)),
    ),
    "attention_bias": (Case(SIZES | {"alike": 0b0100}, (False, 4, 0.3, None)),),
}
