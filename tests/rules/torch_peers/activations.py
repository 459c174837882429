"""Nonlinearities, gated units and softmax in PyTorch."""

import torch
import torch.nn.functional as F

from jaxninja.rule import Case


def gelu(x, approximate):
    return F.gelu(x, approximate="tanh" if approximate else "none")


PEERS = {
    "tanh": torch.tanh,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "gelu": gelu,
    "silu": F.silu,
    "softplus": lambda x, beta: F.softplus(x, beta, threshold=1e3),
    "leaky_relu": F.leaky_relu,
    "squared_relu": lambda x: F.relu(x) ** 2,
    "swiglu": lambda gate, up: F.silu(gate) * up,
    "geglu": lambda gate, up, approximate: gelu(gate, approximate) * up,
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "logsumexp": torch.logsumexp,
}

MORE = {name: (Case({"N": 7, "D": 1}, (-1,)),) for name in ("softmax", "logsumexp")}
