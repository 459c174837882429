"""Losses in PyTorch."""

import torch
import torch.nn.functional as F


def linear_cross_entropy(
    x, W, b, labels, ignore_index, reduction, smoothing, cap, z_loss, chunk
):
    """PyTorch has no soft cap: it is written out before its loss."""
    z = x @ W if b is None else x @ W + b
    z = z if cap is None else cap * torch.tanh(z / cap)
    return cross_entropy(z, labels, ignore_index, reduction, smoothing, z_loss)


def cross_entropy(z, labels, ignore_index, reduction, smoothing, z_loss):
    """PyTorch has no z-loss: it is written out beside its loss."""
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


def kl_divergence(log_p, log_q):
    rows = log_p.numel() // log_p.shape[-1]
    return F.kl_div(log_q, log_p, reduction="sum", log_target=True) / rows


def contrastive(a, b, temperature):
    S, own = a @ b.T / temperature, torch.arange(len(a))
    return (F.cross_entropy(S, own) + F.cross_entropy(S.T, own)) / 2


def cosine_similarity(a, b, eps):
    """Below eps PyTorch's gradient goes on as if the length were not held constant."""
    if any((x.norm(dim=-1) < eps).any() for x in (a, b)):
        return NotImplemented
    return F.cosine_similarity(a, b, -1, eps)


PEERS = {
    "cross_entropy": cross_entropy,
    "linear_cross_entropy": linear_cross_entropy,
    "mse": F.mse_loss,
    "huber": lambda x, y, delta: F.huber_loss(x, y, delta=delta),
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "kl_divergence": kl_divergence,
    "contrastive": contrastive,
    "hinge": lambda scores, y: F.relu(1 - y * scores).mean(),
    "cosine_similarity": cosine_similarity,
}
