"""Quantised and adapted layers."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def nearest_codes(x, codebooks):
    """The quantised rows, what each stage found and what it left to code."""
    rest, found = x, []
    for book in codebooks:
        distance = (book * book).sum(-1) - 2 * rest @ book.T
        chosen = distance.argmin(-1)
        found.append((rest, chosen))
        rest = rest - book[chosen]
    return x - rest, found


def rvq_surrogate(args, dy):
    """Past the choice; a loss for the rows, and one for the codes."""
    x, codebooks = args
    dquantised, dcommitment, dcodes = dy
    _, found = nearest_codes(x, codebooks)
    dx, dbooks = dquantised, []
    for book, (rest, chosen) in zip(codebooks, found, strict=True):
        gap = 2 * (rest - book[chosen]) / x.size
        dx = dx + dcommitment * gap
        dbooks.append(jnp.zeros_like(book).at[chosen].add(-dcodes * gap))
    return dx, jnp.stack(dbooks)


@case(
    "residual vector quantisation of EnCodec in JAX codecs, with both of its losses",
    "quantisation",
    lambda rng: (normal(rng, 6, 3), normal(rng, 2, 5, 3)),
    Twin(
        "codes that are shared",
        "duplicates|index|sum",
        "codebooks",
        "Of the rows that chose a code the last one writes its gradient.",
        witness=lambda rng: (normal(rng, 16, 3), normal(rng, 2, 4, 3)),
    ),
    Twin(
        "first stage only",
        "term|path|sum",
        "x",
        "Of the losses of the rows the first stage's is pulled back.",
    ),
    Twin(
        "losses interchanged",
        "swap|operand|cotangent",
        "x codebooks",
        "The rows get the cotangent of the codes' loss, and the codes the rows'.",
    ),
    options=lambda plain: {"surrogate": rvq_surrogate},
    narrow=False,
)
def residual_vector_quantise(slip):
    @jax.custom_vjp
    def quantise(x, codebooks):
        out, found = nearest_codes(x, codebooks)
        pairs = zip(codebooks, found, strict=True)
        loss = sum(((rest - book[i]) ** 2).mean() for book, (rest, i) in pairs)
        return out, loss, loss

    def fwd(x, codebooks):
        out = quantise.fun(x, codebooks)
        found = nearest_codes(x, codebooks)[1]
        return out, (codebooks, found)

    def bwd(res, g):
        codebooks, found = res
        dx, dcommitment, dcodes = g
        if slip == "losses interchanged":
            dcommitment, dcodes = dcodes, dcommitment
        dbooks = jnp.zeros_like(codebooks)
        for stage, (rest, chosen) in enumerate(found):
            gap = 2 * (rest - codebooks[stage][chosen]) / rest.size
            if stage == 0 or slip != "first stage only":
                dx = dx + dcommitment * gap
            at = dbooks.at[stage, chosen]
            write = at.set if slip == "codes that are shared" else at.add
            dbooks = write(-dcodes * gap)
        return dx, dbooks

    quantise.defvjp(fwd, bwd)
    return quantise, quantise.fun
