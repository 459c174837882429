"""Normalisation layers in PyTorch."""

import torch.nn.functional as F

from jaxninja.rule import Case


def batchnorm(x, gamma, beta, eps, ddof):
    """PyTorch divides the variance by n and refuses n = 1.

    By n - ddof it is n / (n - ddof) times as large: gamma and eps make up for it.
    """
    n = len(x)
    if n == 1:
        return NotImplemented
    share = (n - ddof) / n
    gamma = gamma * share**0.5
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps * share)


def layernorm(x, gamma, beta, eps):
    return F.layer_norm(x, gamma.shape, gamma, beta, eps)


def rmsnorm(x, gamma, eps, offset):
    return F.rms_norm(x, gamma.shape, offset + gamma, eps)


def groupnorm(x, gamma, beta, groups, eps):
    """PyTorch has the channels second."""
    y = F.group_norm(x.movedim(-1, 1), groups, gamma, beta, eps)
    return y.movedim(1, -1)


def l2_normalise(x, axis, eps):
    return F.normalize(x, dim=axis, eps=eps)


PEERS = {
    "batchnorm": batchnorm,
    "layernorm": layernorm,
    "rmsnorm": rmsnorm,
    "groupnorm": groupnorm,
    "l2_normalise": l2_normalise,
}
LARGE = {"N": 1025, "D": 521}  # taken in blocks of rows
MORE = {"layernorm": (Case(LARGE, (1e-5,)),), "rmsnorm": (Case(LARGE, (1e-6, 1.0)),)}
