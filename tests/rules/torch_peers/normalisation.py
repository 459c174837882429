"""Normalisation layers in PyTorch."""

import torch.nn.functional as F


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


PEERS = {"batchnorm": batchnorm}
