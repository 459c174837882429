"""Embedding and linear layers in PyTorch. Its W is [K, D], ours [D, K]."""

import torch.nn.functional as F

PEERS = {
    "embedding": lambda C, ids: F.embedding(ids, C),
    "linear": lambda x, W, b: F.linear(x, W.T, b),
}
