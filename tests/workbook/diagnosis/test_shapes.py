"""Right numbers in another shape, or in other places."""

import pytest

from tests.workbook.bank import hinted

TOLD = {
    "a sum": (1, "W2", "h[:, :, None] * dlogits[:, None, :]", "sum it over axis 0"),
    "two sums": (
        7,
        "Wo",
        "jnp.einsum('ntk,ntd->ntkd', mixed, dy)",
        "sum it over axis (0, 1)",
    ),
    "a diagonal": (1, "bngain", "bnraw.T @ dhpreact", "its diagonal alone is right"),
    "a copy": (
        1,
        "bndiff2",
        "dbnvar / (n - 1)",
        "jnp.broadcast_to(..., bndiff2.shape)",
    ),
    "a scalar": (5, "beta", "dy.sum()", "the sum goes over all axes"),
    "dot of stacks": (7, "att", "jnp.dot(dmixed, v.mT)", "use @, which takes them in"),
    "dot of stacks, summed": (7, "Wo", "jnp.dot(mixed.mT, dy)", "use @, which takes"),
    "no reshape": (1, "emb", "dembcat", "write .reshape(emb.shape)"),
    "other places": (
        8,
        "qkv",
        "jnp.concatenate([dq, dk, dv], -1).swapaxes(1, 2).reshape(n, T, 3 * E)",
        "the right numbers in other places",
    ),
    "other places, and shape": (
        8,
        "qkv",
        "jnp.concatenate([dq, dk, dv], -1)",
        "the right numbers in other places",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_makes_it_right_is_told(case):
    number, name, code, told = TOLD[case]
    (hint,) = hinted(number, name, code)
    assert told in hint


def test_of_a_copy_that_is_wrong_both_are_told():
    first, second = hinted(1, "bndiff2", "dbnvar / n")
    assert "Bessel" in first
    assert "jnp.broadcast_to(" in second
    (hint,) = hinted(1, "counts", "dcounts = probs\ndcounts =+ dcounts_sum")
    assert "was overwritten" in hint
    assert hinted(1, "W2", "(h.T @ dlogits).mean(0)") == []


WRITTEN_OUT = {
    "no 1/n": (1, "logprobs", "-jax.nn.one_hot(Yb, 27)", "the factor 1/n is missing"),
    "a sign": (
        2,
        "logits",
        "(jax.nn.softmax(logits, 1) + jax.nn.one_hot(Yb, 27)) / n",
        "is added, it should be subtracted",
    ),
}


@pytest.mark.parametrize("case", WRITTEN_OUT)
def test_a_mistake_beside_a_hard_coded_size_is_told_with_it(case):
    number, name, code, told = WRITTEN_OUT[case]
    mistake, size = hinted(number, name, code)
    assert told in mistake
    assert "27 is V, and here V is 7: write logits.shape[1]" in size
