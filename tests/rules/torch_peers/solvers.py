"""Solvers in PyTorch: of a general matrix, so the gradient is made symmetric there."""

import torch


def symmetric(A):
    return (A + A.T) / 2


PEERS = {
    "cholesky_solve": lambda A, b: torch.linalg.solve(symmetric(A), b),
    "logdet": lambda A: torch.logdet(symmetric(A)),
}
