"""Real bugs of the field, re-created: each with its thread and an independent truth.

As with the bank, TUNING may be looked at while the checker is written and REPORTING is
only reported on. The halves were fixed when the bugs were written down, every third of
a class for TUNING, so that both see all kinds.
"""

from experiments.checker_benchmark.field_bugs import (
    contract,
    cotangent,
    formulas,
    indices,
    masks,
    paths,
    singular,
    sums,
)

FILES = (cotangent, paths, formulas, sums, indices, masks, singular, contract)
BUGS = tuple(bug for file in FILES for bug in file.BUGS)
BY_NAME = {bug.name: bug for bug in BUGS}

TUNING = (
    "cubic pytorch#4355",
    "linear_cross_entropy Liger-Kernel#1298",
    "softmax_and_lse jax#28408",
    "batchnorm CrypTen#143",
    "offset_rmsnorm Liger-Kernel#74",
    "sine_times jax#3213",
    "atan2 Enzyme-JAX#2066",
    "softmax Neural-Network-Experiments#5",
    "softmax cs249r_book#2056",
    "gelu TileGym#197",
    "token_loss OpenNMT-py#2209",
    "cross_entropy Mate#2",
    "dense differentiation#1",
    "layernorm FlagGems#59",
    "plain_batchnorm FlagGems#5222",
    "lookup Paddle#17662",
    "overlapping_max Flux.jl#1197",
    "attention triton#7216",
    "padded_attention pytorch#153799",
    "robust_ignoring_loss pytorch#11551",
    "dropout onnxruntime#19715",
    "dropout kaldi#3890",
    "squared_norm jax#4177",
    "triangle_product jax#40421",
    "rmsnorm Liger-Kernel#950",
    "rotate candle#3568",
    "centred_rmsnorm Megatron-LM#6859 (forward)",
    "doubled_square pytorch#58509",
)
REPORTING = tuple(name for name in BY_NAME if name not in TUNING)


def half(name: str) -> tuple:
    """The bugs of a half: "tuning", "reporting" or "all"."""
    names = {"tuning": TUNING, "reporting": REPORTING, "all": tuple(BY_NAME)}
    if name not in names:
        raise ValueError(f"half is {name!r}, expected one of {', '.join(names)}")
    return tuple(BY_NAME[n] for n in names[name])
