"""Each known mistake is named by its sentence."""

import ast

import pytest

from jaxninja.workbook.code import parse
from jaxninja.workbook.diagnosis.mistakes.known_mistakes import mistakes
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import (
    ALL_MAXIMA,
    HPREBN,
    MAXIMA,
    ONEHOT,
    answered,
    hinted,
    lines,
)

SETS = """dC = jnp.zeros_like(C)
for j in range(Xb.shape[1]):
    dC = dC.at[Xb[:, j]].set(demb[:, j])"""
KNOWN = {
    "sum": (1, "b2", "dlogits", "the sum over axis 0 of dlogits is missing"),
    "1/n": (1, "hprebn", "dbndiff + dbnmeani", "1/n"),
    "n for n - 1": (1, "bndiff2", "jnp.ones_like(bndiff2) * dbnvar / n", "Bessel"),
    "sign": (1, "logit_maxes", "dnorm_logits.sum(1, keepdims=True)", "sign is wrong"),
    "transpose": (1, "W2", "(h.T @ dlogits).T", "dW2 is transposed"),
    "overwritten": (
        1,
        "counts",
        "dcounts = counts_sum_inv * dprobs\ndcounts = 0 * counts + dcounts_sum",
        "the branch by probs was overwritten: = stands where += should",
    ),
    "one branch": (
        1,
        "bndiff",
        "bnvar_inv * dbnraw",
        "the branch by bndiff2 is missing: add it with +=",
    ),
    "other branch alone": (
        1,
        "counts",
        "0 * counts + dcounts_sum",
        "counts is read by probs and by counts_sum; the branch by probs is missing",
    ),
    "a term": (8, "f", "s * dh", "df: the term h * (1.0 - s) * 1.59"),
    "a term, otherwise written": (
        8,
        "f",
        "0.5 * (1 + jnp.tanh(0.7978845608028654 * (f + 0.044715 * f**3))) * dh",
        "df: the term h * (1.0 - s) * 1.59",
    ),
    "two terms": (
        3,
        "hprebn",
        "bngain * bnvar_inv * dhpreact",
        "bnraw * (dhpreact * bnraw).sum(0) / (n - 1) is not subtracted",
    ),
    "linear": (
        1,
        "bndiff",
        "bnvar_inv * dbnraw * 2.0 * bndiff * dbndiff2",
        "a gradient is linear in the upstream, and this is an even function of it",
    ),
    "axes, no keepdims": (
        5,
        "rstd",
        "(diff * dxhat).sum((0, 1))",
        "the sum goes over axis (0, 1), it should go over axis 2",
    ),
    "precedence": (
        1,
        "bnvar",
        "-1/2 * (bnvar + 1e-5) ** -3/2 * dbnvar_inv",
        "** comes before /: for a power of -3/2 write ** (-3/2)",
    ),
    "precedence, alone": (
        5,
        "var",
        "dvar = (var + 1e-5) ** -3/2 * drstd\ndvar = -0.5 * dvar",
        "for a power of -3/2 write ** (-3/2)",
    ),
    "power": (1, "counts_sum", "-dcounts_sum_inv * counts_sum ^ -2", "a power is **"),
    "product": (
        1,
        "h",
        "dlogits @ W2",
        "is [32, 27] @ [64, 27]: the last axis of the one has to be as long as the "
        "last but one of the other: dlogits @ W2.T is [32, 64], as h is.",
    ),
    "product, exchanged": (1, "h", "W2 @ dlogits", "dlogits @ W2.T is [32, 64]"),
    "product of .T": (7, "att", "dmixed @ v.T", "dmixed @ v.mT is [4, 8, 8], as att"),
    "past the end": (1, "C", "demb[Xb + 99]", "an index past the end"),
    "max branch": (1, "logits", "dnorm_logits", "the max branch is missing"),
    "other one-hot": (
        1,
        "logits",
        f"dnorm_logits + {ONEHOT} * dlogit_maxes",
        "the one-hot is of Yb, it should be of logits.argmax(1)",
    ),
    "saved value": (
        1,
        "hpreact",
        "(1 - hpreact**2) * dh",
        "hpreact stands where h should: the wrong saved value",
    ),
    "set for add": (
        1,
        "C",
        "jnp.zeros_like(C).at[Xb].set(demb)",
        "set stands where add",
    ),
    "one-hot": (
        2,
        "logits",
        "jax.nn.softmax(logits, 1) / n",
        "the one-hot of the targets is not subtracted",
    ),
    "mean": (2, "logits", f"jax.nn.softmax(logits, 1) - {ONEHOT}", "1/n is missing"),
    "dtype": (1, "h", "(dlogits @ W2.T).astype('float16')", "dtype: it is float16"),
    "chain rule": (
        1,
        "norm_logits",
        f"(probs - {ONEHOT}) / n",
        "does not follow from dcounts",
    ),
    "Bessel": (
        3,
        "hprebn",
        HPREBN.format("dhpreact.sum(0)", "1", "(dhpreact * bnraw).sum(0)"),
        "n stands where n - 1 should: Bessel's correction",
    ),
    "not finite": (1, "h", "dlogits @ W2.T / 0.0", "from dlogits @ W2.T / 0.0 in"),
    "no factor that is NaN": (1, "norm_logits", "jnp.sin(counts) * dcounts", "out sin"),
    "a constant too much": (
        4,
        "hprebn",
        "dhpreact * h + 0.1",
        "with dhpreact = 0 it is",
    ),
    "eps": (
        1,
        "bnvar",
        "-0.5 * (bnvar + 1e-6) ** -1.5 * dbnvar_inv",
        "1e-06 stands where 1e-05 should",
    ),
    "square of all": (
        1,
        "hpreact",
        "(1.0 - h) ** 2 * dh",
        "the power 2 is of h alone: 1.0 - h ** 2",
    ),
    "ties": (
        1,
        "logits",
        "dnorm_logits + (logits == logit_maxes) * dlogit_maxes",
        "in a row whose maximum is attained twice",
    ),
    "a trifle": (1, "h", "dlogits @ W2.T + 1e-9", "the term 1e-09 is too much"),
    "nearly 1": (4, "h", "dlogits @ W2.T * 1.0000001", "is off by 1e-07 of its"),
    "targets": (
        1,
        "logprobs",
        "jnp.zeros_like(logprobs).at[jnp.arange(n), logprobs.argmax(1)].set(-1.0 / n)",
        "argmax(1) stands where Yb should",
    ),
    "all rows": (
        1,
        "logprobs",
        "jnp.zeros_like(logprobs).at[:, Yb].set(-1.0 / n)",
        "[:, Yb] stands where",
    ),
    "minimum": (
        1,
        "logits",
        f"dnorm_logits + {MAXIMA.replace('max', 'min')} * dlogit_maxes",
        "the one-hot is of logits.argmin(1)",
    ),
    "another shape": (1, "bnraw", "bnvar_inv * dhpreact", "bnvar_inv stands where bng"),
    "order": (
        1,
        "emb",
        "dembcat.reshape(emb.shape, order='F')",
        "order of the numbers",
    ),
    "set in a loop": (1, "C", SETS, "set stands where add should"),
    "one symbol": (
        1,
        "C",
        "jnp.zeros_like(C).at[Xb[:, 0]].add(demb[:, 0])",
        "only the first symbol of each context",
    ),
    "axis of softmax": (
        2,
        "logits",
        f"(jax.nn.softmax(logits, 0) - {ONEHOT}) / n",
        "the softmax goes over axis 0, it should go over axis 1",
    ),
    "no softmax": (2, "logits", f"(logits - {ONEHOT}) / n", "the softmax is missing"),
    "exp": (2, "logits", f"(jnp.exp(logits) - {ONEHOT}) / n", "is not normalised"),
    "log": (
        2,
        "logits",
        f"(jax.nn.log_softmax(logits, 1) - {ONEHOT}) / n",
        "a log_softmax stands where a softmax should",
    ),
    "by V": (
        2,
        "logits",
        f"(jax.nn.softmax(logits, 1) - {ONEHOT}) / logits.shape[1]",
        "V (logits.shape[1]) stands where n should",
    ),
    "of one term alone": (
        2,
        "logits",
        f"jax.nn.softmax(logits, 1) - {ONEHOT} / n",
        "/ n is of one term alone",
    ),
    "whole rows": (
        2,
        "logits",
        "jax.nn.softmax(logits, 1).at[Yb].add(-1) / n",
        "[Yb] alone picks whole rows",
    ),
    "columns of all targets": (
        2,
        "logits",
        "jax.nn.softmax(logits, 1).at[:, Yb].add(-1) / n",
        "[:, Yb] stands where",
    ),
    "everywhere": (
        2,
        "logits",
        "(jax.nn.softmax(logits, 1) - 1) / n",
        "at every entry",
    ),
    "numbers of classes": (
        2,
        "logits",
        "(jax.nn.softmax(logits, 1) - Yb[:, None]) / n",
        "Yb stands where its one-hot should",
    ),
    "no eps": (
        1,
        "bnvar",
        "-0.5 * bnvar**-1.5 * dbnvar_inv",
        "the term 1e-05 is missing",
    ),
    "divided by the other": (1, "norm_logits", "dcounts / counts", "divided by counts"),
    "times n in place of 1/n": (
        1,
        "hprebn",
        "dbndiff + n * dbnmeani",
        "multiplied by n, it should be divided by it",
    ),
    "another size": (
        1,
        "hprebn",
        "dbndiff + dbnmeani / hprebn.shape[1]",
        "H (h.shape[1]) stands where n should",
    ),
    "another size for n - 1": (
        1,
        "bndiff2",
        "jnp.ones_like(bndiff2) * dbnvar / bndiff2.shape[1]",
        "H (h.shape[1]) stands where n - 1 should",
    ),
    "a term too many": (
        6,
        "h1",
        "dy[0] + dh2 + (1 - z2) * dh2 + r2 * (dac2 @ Uc.T) + dar2 @ Ur.T + daz2 @ Uz.T",
        "the term dh2 is too much: leave it out",
    ),
    "minus one": (
        1,
        "bndiff2",
        "jnp.ones_like(bndiff2) * dbnvar / n - 1",
        "/ comes before -: to divide by n - 1 write / (n - 1)",
    ),
    "a value, short": (1, "hpreact", "h * dh", "h stands where 1.0 - h ** 2 should"),
    "a value, long": (8, "f", "f * s * dh", "h stands where a derivative should"),
    "a slope for a power": (
        1,
        "hpreact",
        "(1 - 2 * h) * dh",
        "2 * h stands where h **",
    ),
    "at one value": (
        1,
        "counts",
        "counts_sum_inv * dprobs + counts**2 * dcounts_sum",
        "right only where counts is 1",
    ),
    "rounding": (
        1,
        "bngain",
        "bnraw.sum(0) * dhpreact.sum(0)",
        "is zero everywhere, up to rounding",
    ),
    "axes": (8, "o", "dc.reshape(n, T, H, K)", "axes 1, 2 of dc.reshape("),
    "the learner's names": (
        1,
        "counts",
        "counts_sum * dprobs + dcounts_sum",
        "counts_sum stands where counts_sum_inv should",
    ),
    "n is read elsewhere": (
        2,
        "logits",
        "jax.nn.softmax(logits, 1).at[jnp.arange(n), Yb].add(-1)",
        "the factor 1/n is missing",
    ),
    "another part": (6, "h3", "dy.sum(0)", "dy.sum(0) stands where dy[2] should"),
    "gradient for array": (
        1,
        "W1",
        "dembcat.T @ dhprebn",
        "dembcat stands where embcat should: the gradient in place of the array",
    ),
    "all axes": (1, "bnmeani", "(-dbndiff).sum()", "the sum goes over all axes"),
    "no parameter": (
        3,
        "hprebn",
        "bngain * bnvar_inv * hpreact",
        "hpreact is no parameter of backward: add it there; or did you mean 'dhpreact'",
    ),
    "a helper below": (
        1,
        "h",
        "dh = later @ W2.T\nlater = dlogits",
        "later is made in line ",
    ),
    "misspelt": (1, "h", "dlogit @ W2.T", "dlogit is not defined; did you mean 'dlog"),
    "dropped": (
        1,
        "C",
        "dC = jnp.zeros_like(C)\ndC.at[Xb].add(demb)",
        "is dropped, and arrays of JAX do not change: write dC = dC.at[...].add(",
    ),
    "in place": (
        1,
        "C",
        "dC = jnp.zeros_like(C)\ndC[Xb] += demb",
        "do not change in place: write dC = dC.at[...].add(",
    ),
    "lecture's V": (
        1,
        "logprobs",
        f"-{ONEHOT.replace('logits.shape[1]', '27')} / n",
        "27 is V, and here V is 7: write logits.shape[1]",
    ),
    "lecture's n": (
        2,
        "logits",
        f"(jax.nn.softmax(logits, 1) - {ONEHOT}) / 32",
        "32 is n, and here n is 2: write n",
    ),
    "lecture's E and T": (
        1,
        "emb",
        "dembcat.reshape(n, 3, 10)",
        "10 is E, and here E is 4: write C.shape[1]",
    ),
    "all columns": (
        1,
        "logits",
        "dnorm_logits.at[:, logits[0].argmax()].add(dlogit_maxes[:, 0])",
        "the branch by logit_maxes lands in column 1 of row 2, where it belongs in "
        "column 0 alone",
    ),
    "all maxima": (1, "logits", ALL_MAXIMA, "the branch by logit_maxes lands in col"),
    "rows by columns": (
        1,
        "logprobs",
        "jnp.zeros_like(logprobs).at[:, Yb[0]].set(-1.0 / n)",
        "what it holds lands in column",
    ),
    "columns by rows": (
        1,
        "logits",
        "dnorm_logits.at[logits.argmax(1), jnp.arange(n)].add(dlogit_maxes[:, 0])",
        "the branch by logit_maxes lands in ",
    ),
    "by differences": (
        1,
        "hpreact",
        "(jnp.tanh(hpreact + 1e-2) - jnp.tanh(hpreact - 1e-2)) / 2e-2 * dh",
        "of its largest entry: a derivative taken by differences",
    ),
    "zero over zero": (1, "hpreact", "dh * dh / dh * (1 - h**2)", "NaN where dh is 0"),
    "sums for a product": (
        6,
        "Wz",
        " + ".join(f"x{t}.sum(0)[:, None] * daz{t}.sum(0)" for t in (1, 2, 3)),
        "sums are multiplied, where products should be summed: x3.T @ daz3",
    ),
    "sums of all steps": (
        6,
        "Wz",
        "(x1 + x2 + x3).T @ (daz1 + daz2 + daz3)",
        "where products should be summed: x3.T @ daz3 + x2.T @ daz2 + x1.T @ daz1",
    ),
    "sums of stacks": (
        7,
        "Wo",
        "mixed.mT.sum(0) @ dy.sum(0)",
        "(mixed.mT @ dy).sum(0)",
    ),
    "sums in einsum": (
        7,
        "Wq",
        "jnp.einsum('ntd,nsk->dk', x, dq)",
        "where products should be summed: x.mT @ dq",
    ),
    "a power, not an array for another": (
        1,
        "bnvar",
        "-0.5 * dbnvar_inv * bnvar_inv",
        "the power 3 of bnvar_inv is missing",
    ),
    "a step, not an array for a derivative": (
        8,
        "f",
        "dh * (s + f * s * (1 - s))",
        "the factor 1.5957691216057308 * (1.0 + 3 * 0.044715 * f ** 2) is missing",
    ),
    "sums of products": (
        6,
        "Wz",
        "(x1.T @ daz1).sum(0) + (x2.T @ daz2).sum(0) + (x3.T @ daz3).sum(0)",
        "x3.T @ daz3, x2.T @ daz2, x1.T @ daz1 is summed over axis 0, and should",
    ),
    "another function's slope": (
        6,
        "ac3",
        "c3 * (1 - c3) * dc3",
        "the derivative of sigmoid stands where that of tanh should: 1.0 - c3 ** 2",
    ),
    "eps outside": (
        1,
        "bnvar",
        "-0.5 * (bnvar**-1.5 + 1e-5) * dbnvar_inv",
        "1e-05 is added after a power is taken, it should be added to bnvar before",
    ),
    "eps outside the root": (
        5,
        "var",
        "-0.5 * (jnp.sqrt(var) + 1e-5) ** -3 * drstd",
        "1e-05 is added after a power is taken, it should be added to var before",
    ),
    "eps without brackets": (
        1,
        "bnvar",
        "-0.5 * bnvar + 1e-5 ** -1.5 * dbnvar_inv",
        "for a power of bnvar + 1e-5 write (bnvar + 1e-5) **",
    ),
    "half a power": (
        5,
        "var",
        "-drstd / (2 * (var + 1e-5))",
        "var + 1e-05 is to the power -1.0, it should be -1.5",
    ),
    "a power in the other form": (
        1,
        "counts_sum",
        "-2 * counts_sum_inv * dcounts_sum_inv",
        "2 * counts_sum_inv stands where counts_sum_inv ** 2 should",
    ),
    "a factor too much, in one array": (
        5,
        "rstd",
        "(dxhat * diff * rstd).sum(-1, keepdims=True)",
        "is multiplied by rstd, and should not be",
    ),
    "transposed, and should not be": (
        7,
        "q",
        "dscores.mT @ k / K**0.5",
        "dscores should not be transposed",
    ),
    "the mask transposed": (
        7,
        "scores",
        "dmasked * seen.T",
        "the mask is transposed: 0 belongs where seen is False",
    ),
    "masked as scores are": (
        7,
        "masked",
        "jnp.where(seen, att * (datt - (att * datt).sum(2, keepdims=True)), -jnp.inf)",
        "-jnp.inf stands where 0 should",
    ),
    "infinite": (
        7,
        "masked",
        "masked * (datt - (masked * datt).sum(2, keepdims=True))",
        "is NaN or infinite: masked, in line ",
    ),
    "straight to the shape": (
        8,
        "o",
        "dc.reshape(n, H, T, K)",
        "these are the right numbers in other places",
    ),
    "parts in another order": (
        8,
        "qkv",
        "jnp.concatenate([dv, dk, dq], 1).swapaxes(1, 2).reshape(n, T, 3 * E)",
        "the parts are in another order, it should be [dq, dk, dv]",
    ),
    "no matrix": (6, "rh3", "dac3", "the matrix product of dac3 is missing: @ Uc.T"),
    "a term in the middle": (
        6,
        "h2",
        "dy[1] + (1 - z3) * dh3 + dac3 @ Uc.T + r3 * drh3 + dar3 @ Ur.T + daz3 @ Uz.T",
        "the term dac3 @ Uc.T is too much: leave it out",
    ),
    "by the checker": (1, "W2", "1.3 * h.T @ dlogits", "times 1.3"),
    "checker, our names": (1, "hpreact", "(1 - h**2 + h) * dh", "h"),
}


@pytest.mark.parametrize("mistake", KNOWN)
def test_a_mistake_is_named(mistake):
    number, name, code, fragment = KNOWN[mistake]
    text = answered(number, **{name: lines(name, code)})
    report = check(number, text, EXERCISES[number].file)
    assert report.guilty.name == name
    assert report.hints
    assert fragment in str(report.hints[0])
    assert "res[" not in str(report.hints[0])


def ladder(name, code):
    text = answered(1, **{name: lines(name, code)})
    return {rung.what: rung for rung in check(1, text, "x.py").guilty.ladder}


def test_the_last_rung_is_of_the_sample_that_is_worst():
    """Of two examples no symbol is read twice at one place: only others show it."""
    found = ladder("C", SETS)
    assert "wrong for n=5" in found["float64"].word
    assert not found["float64"].ok
    assert "sizes" not in found


def test_a_ladder_of_another_sample_than_the_line_above_it_says_so():
    found = ladder("b1", "jnp.zeros_like(b1)")
    assert found["float32"].ok
    assert found["sizes"].found == "the lecture's"
    assert found["float64"].word.endswith("dhprebn random")
    found = ladder("logprobs", f"-{ONEHOT.replace('logits.shape[1]', '27')} / n")
    assert found["sizes"].found == "n=2, T=3, E=4, H=5, V=7"


def test_a_right_answer_in_another_form_has_no_mistake():
    assert MAXIMA in EXERCISES[1].solution
    report = check(1, EXERCISES[1].solution, "exercise1.py")
    assert report.ok
    assert report.hints == ()


@pytest.mark.parametrize("number", EXERCISES)
def test_known_mistakes_are_python_with_a_sentence_each(number):
    exercise = EXERCISES[number]
    solution = parse.read(exercise.solution, exercise.file)
    for name in exercise.names:
        right = [
            ast.dump(s.node) for s in solution.piece(f"d{name}", exercise.gradients)
        ]
        for mistake in mistakes(exercise, name):
            compile(ast.Module([*mistake.body], []), "mistake", "exec")
            if mistake.hint.code != "no mask":  # of softmax's gradient, no mistake
                assert [ast.dump(node) for node in mistake.body] != right
            assert mistake.hint.of(name).sentence


def test_a_whole_gradient_is_no_value_in_place_of_a_derivative():
    assert not any(
        "derivative" in hint
        for hint in hinted(2, "logits", "jax.nn.softmax(logits, 1)")
    )
