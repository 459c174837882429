"""The bank: correct textbook rules that the benchmark breaks in known ways.

The rules fall into two halves, fixed before any hint engine ran on them:

    TUNING      may be looked at, run and tuned on while the checker is written
    REPORTING   is only ever reported on; nobody imports it to improve the checker

Each family of rules has members in both halves. TUNING holds the rules whose mutants
were already studied when the checker was specified, and those of the library itself;
so what is reported is measured on rules that are new to the checker.
"""

from experiments.checker_benchmark.bank import (
    algebra,
    attention,
    elementwise,
    indexing,
    linear,
    losses,
    normalisation,
    softmax,
    structured,
)

FAMILIES = {
    "elementwise": elementwise.RULES,
    "linear": linear.RULES,
    "normalisation": normalisation.RULES,
    "softmax": softmax.RULES,
    "losses": losses.RULES,
    "indexing": indexing.RULES,
    "attention": attention.RULES,
    "algebra": algebra.RULES,
    "structured": structured.RULES,
}

RULES = tuple(rule for rules in FAMILIES.values() for rule in rules)
BY_NAME = {rule.name: rule for rule in RULES}

TUNING = (
    *("tanh", "relu", "gelu_tanh", "softplus", "elu", "silu", "hardtanh"),
    *("linear", "square_linear", "outer", "scale_shift"),
    *("batchnorm", "layernorm", "rmsnorm", "l2norm"),
    *("softmax", "log_softmax", "logsumexp", "cross_entropy", "masked_cross_entropy"),
    *("mse", "huber", "bce_logits", "hinge"),
    *("embedding", "max_ties", "cumsum", "dropout", "masked_mean"),
    *("causal_attention", "swiglu", "glu"),
    *("inverse", "trace_product", "gram", "frobenius"),
    *("sincos", "moments", "two_layer"),
)

REPORTING = (
    *(
        "sigmoid",
        "leaky_relu",
        "log_sigmoid",
        "gelu_erf",
        "mish",
        "softsign",
        "softcap",
    ),
    *("bilinear", "conv1d", "low_rank"),
    *("groupnorm", "instancenorm", "weightnorm", "scalenorm"),
    *("label_smoothing", "soft_cross_entropy", "kl"),
    *("tempered_softmax", "z_loss", "entropy"),
    *("cosine_similarity", "log_cosh", "gaussian_nll", "pinball", "infonce", "triplet"),
    *("gather", "segment_sum", "roll_concat", "upsample", "avg_pool", "sort"),
    *("linear_attention", "rotary", "relu_squared_ffn"),
    *("cholesky_solve", "logdet", "determinant"),
    *("triangular_solve", "quadratic_form", "matrix_square"),
    *("complex_product", "polar", "lstm_gates", "gru_blend", "residual_block"),
)


def half(name: str) -> tuple:
    """The rules of a half: "tuning", "reporting" or "all"."""
    names = {"tuning": TUNING, "reporting": REPORTING, "all": tuple(BY_NAME)}
    if name not in names:
        raise ValueError(f"half is {name!r}, expected one of {', '.join(names)}")
    return tuple(BY_NAME[n] for n in names[name])
