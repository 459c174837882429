"""Convolutions and pooling in PyTorch, where channels come before the lengths.

Its kernel is [O, C / groups, *K], ours [*K, C / groups, O].
"""

import torch.nn.functional as F

from jaxninja.rule import Case


def first(x):
    """Channels from last to first of all but the batch."""
    return x.movedim(-1, 1)


def last(y):
    return y.movedim(1, -1)


def conv1d(x, w, b, *options):
    return last(F.conv1d(first(x), w.permute(2, 1, 0), b, *options))


def conv2d(x, w, b, *options):
    return last(F.conv2d(first(x), w.permute(3, 2, 0, 1), b, *options))


def causal_conv1d(x, w, b, dilation):
    padded = F.pad(first(x), ((len(w) - 1) * dilation, 0))
    groups = x.shape[-1] // w.shape[1]
    return last(F.conv1d(padded, w.permute(2, 1, 0), b, 1, 0, dilation, groups))


PEERS = {
    "conv1d": conv1d,
    "conv2d": conv2d,
    "causal_conv1d": causal_conv1d,
    "maxpool2d": lambda x, *options: last(F.max_pool2d(first(x), *options)),
    "avgpool2d": lambda x, *options: last(F.avg_pool2d(first(x), *options)),
}

LONG = {"N": 2, "T": 11, "K": 3, "P": 2, "O": 4, "G": 2}
WIDE = dict(zip("NHWKLPOG", (3, 11, 7, 3, 5, 1, 2, 1), strict=True))
PRIME = {"N": 1, "H": 13, "W": 11, "C": 3}

MORE = {
    "conv1d": (Case(LONG, (3, 1, 2, 2)), Case(LONG, (1, 6, 1, 2))),  # much padding
    "conv2d": (Case(WIDE, ((4, 1), (0, 3), 1, 1)), Case(WIDE, (1, 2, (3, 2), 1))),
    "maxpool2d": (Case(PRIME, ((3, 5), (4, 2))),),
    "avgpool2d": (Case(PRIME, ((3, 5), (4, 2))),),
}
