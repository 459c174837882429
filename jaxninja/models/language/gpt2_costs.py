"""What GPT-2 costs before it is run: numbers held in memory, and operations.

The estimates of memory are of the large arrays alone, so that nothing is refused that
would fit. Those of the operations are the custom of the field: two for each weight of a
matrix and token, forward, and twice that backward; and for attention 4 T C for a token
and layer forward, as if nothing were masked. What is computed again does not count.

Source: Chowdhery et al. 2022, "PaLM", appendix B, arXiv 2204.02311.
"""

import math

from jaxninja.models.gpt2 import MATRICES, Gpt2, table

BLOCK = 512  # tokens whose logits are held together
# Numbers for each token and layer, in units of C, that the routes by rules keep:
# layernorm's xhat twice, the factors of four products, q, k and v, o, and gelu's input.
BY_RULES = 16


def parameters(model: Gpt2) -> int:
    """Numbers in all parameters."""
    return sum(math.prod(shape) for shape, _, _ in table(model).values())


def kept(model: Gpt2, route: str, tokens: int, context: int) -> int:
    """Numbers that wait for the backward pass, of a batch of so many tokens.

    Args:
        model: its sizes, and the residuals of the pass by hand.
        route: network, rules or autodiff; the last keeps all probabilities as well.
        tokens: in all sequences of the batch.
        context: of a sequence.
    """
    each = int(model.residuals.removesuffix("C")) if route == "network" else BY_RULES
    scores = 2 * model.heads * context if route == "autodiff" else 0
    return tokens * model.layers * (each * model.embedding + scores)


def widest(model: Gpt2, tokens: int) -> int:
    """Numbers in the largest arrays of a step that are gone when it has ended."""
    return max(2 * min(tokens, BLOCK) * model.rows, 2 * tokens * 4 * model.embedding)


def step_flops(model: Gpt2, tokens: int, context: int) -> int:
    """Operations of loss and gradient of so many tokens in sequences of `context`."""
    shapes = {name: shape for name, (shape, _, _) in table(model).items()}
    weights = sum(math.prod(shapes[name]) for name in MATRICES if name != "wpe")
    attention = 2 * model.layers * context * model.embedding
    return 6 * tokens * (weights + attention)
