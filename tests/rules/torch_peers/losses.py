"""Losses in PyTorch."""

import torch
import torch.nn.functional as F


def linear_cross_entropy(
    x, W, b, labels, ignore_index, reduction, smoothing, cap, z_loss, chunk
):
    """PyTorch has no soft cap and no z-loss: they are written out around its loss."""
    z = x @ W if b is None else x @ W + b
    z = z if cap is None else cap * torch.tanh(z / cap)
    counts = labels != ignore_index
    extra = torch.where(counts, z_loss * torch.logsumexp(z, 1) ** 2, 0.0)
    if reduction == "mean":
        extra = extra.sum() / counts.sum()
    return extra + F.cross_entropy(
        z,
        labels,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=smoothing,
    )


PEERS = {
    "cross_entropy": F.cross_entropy,
    "linear_cross_entropy": linear_cross_entropy,
}
