"""Wrong answers that must fail, and right ones that must pass, by exercise and name."""

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.templates import lessons


def answered(number: int, **answers: str) -> str:
    """The solution of an exercise with other lines for some gradients."""
    exercise = EXERCISES[number]
    lines = exercise.solution.splitlines()
    for lesson in reversed(lessons(exercise).values()):
        if lesson.name in answers:
            new = [f"    {line}" for line in answers[lesson.name].splitlines()]
            lines[lesson.first - 1 : lesson.last] = new
    return "\n".join(lines) + "\n"


def hinted(number: int, name: str, code: str, **options) -> list[str]:
    """The hints on a wrong answer."""
    text = answered(number, **{name: lines(name, code)})
    report = check(number, text, EXERCISES[number].file, **options)
    assert report.guilty.name == name
    return [str(hint) for hint in report.hints]


ONEHOT = "jax.nn.one_hot(Yb, logits.shape[1])"
MAXIMA = "jax.nn.one_hot(logits.argmax(1), logits.shape[1])"
HPREBN = "bngain * bnvar_inv / n * (n * dhpreact - {} - {} * bnraw * {})"
TWICE = "dhprebn = dbndiff\ndhprebn += {}"
ALL_MAXIMA = """m = jnp.zeros_like(logits).at[
    jnp.arange(n), logits.argmax(1, keepdims=True)].set(1.)
dlogits = dlogit_maxes * m + dnorm_logits"""

WRONG = [
    (1, "logprobs", "jnp.zeros_like(logprobs)"),
    (1, "logprobs", "jnp.zeros_like(logprobs).at[jnp.arange(n), Yb].set(1.0 / n)"),
    (1, "logprobs", "jnp.zeros_like(logprobs).at[jnp.arange(n), Yb].set(-1.0)"),
    (1, "logprobs", "jnp.zeros_like(logprobs).at[jnp.arange(n), Yb].set(-1 / 32)"),
    (1, "logprobs", "jnp.zeros_like(logprobs).at[:, Yb].set(-1.0 / n)"),
    (1, "logprobs", "jnp.full_like(logprobs, -1.0 / n)"),
    (1, "logprobs", "jnp.zeros((32, 27)).at[jnp.arange(32), Yb].set(-1 / 32)"),
    (1, "probs", "jnp.zeros_like(probs)"),
    (1, "probs", "dlogprobs"),
    (1, "probs", "probs * dlogprobs"),
    (1, "probs", "1.0 / probs"),
    (1, "probs", "-1.0 / probs * dlogprobs"),
    (1, "probs", "1.0 / counts * dlogprobs"),
    (1, "counts_sum_inv", "counts * dprobs"),
    (1, "counts_sum_inv", "(counts * dprobs).sum(1)"),
    (1, "counts_sum_inv", "(counts * dprobs).mean(1, keepdims=True)"),
    (1, "counts_sum_inv", "(probs * dprobs).sum(1, keepdims=True)"),
    (1, "counts_sum_inv", "dprobs.sum(1, keepdims=True)"),
    (1, "counts_sum", "counts_sum**-2 * dcounts_sum_inv"),
    (1, "counts_sum", "-(counts_sum_inv**-2) * dcounts_sum_inv"),
    (1, "counts_sum", "-(counts_sum**-1) * dcounts_sum_inv"),
    (1, "counts_sum", "-(counts_sum**-2)"),
    (1, "counts", "counts_sum_inv * dprobs"),
    (1, "counts", "jnp.ones_like(counts) * dcounts_sum"),
    (1, "counts", "counts_sum_inv * dprobs - dcounts_sum"),
    (1, "counts", "counts_sum_inv * dprobs + 2 * dcounts_sum"),
    (1, "counts", "counts_sum * dprobs + dcounts_sum"),
    (1, "norm_logits", "dcounts"),
    (1, "norm_logits", "probs * dcounts"),
    (1, "norm_logits", "jnp.exp(logits) * dcounts"),
    (1, "norm_logits", f"(probs - {ONEHOT}) / n"),
    (1, "logit_maxes", "dnorm_logits.sum(1, keepdims=True)"),
    (1, "logit_maxes", "-dnorm_logits.sum(1)"),
    (1, "logit_maxes", "jnp.zeros_like(logit_maxes)"),
    (1, "logit_maxes", "-dnorm_logits.sum(1, keepdims=True) + 1e-9"),
    (1, "logits", "dnorm_logits"),
    (1, "logits", f"{MAXIMA} * dlogit_maxes"),
    (1, "logits", "dnorm_logits + dlogit_maxes"),
    (1, "logits", f"dnorm_logits - {MAXIMA} * dlogit_maxes"),
    (1, "logits", f"dnorm_logits + {ONEHOT} * dlogit_maxes"),
    (1, "logits", "dnorm_logits + (logits == logit_maxes) * dlogit_maxes"),
    (1, "logits", ALL_MAXIMA),
    (1, "logits", "dnorm_logits.at[:, logits[0].argmax()].add(dlogit_maxes[:, 0])"),
    (1, "logits", "dnorm_logits.at[:, 1].add(dlogit_maxes[:, 0])"),
    (1, "hpreact", "dh * dh / dh * (1 - h**2)"),
    (1, "bnvar_inv", "dbnraw / dbnraw * (bndiff * dbnraw).sum(0, keepdims=True)"),
    (1, "bnvar", "-0.5 * bnvar_inv**3 * dbnvar_inv * dbnvar_inv / dbnvar_inv"),
    (1, "embcat", "(dhprebn * dhprebn / dhprebn) @ W1.T"),
    (1, "h", "dlogits @ W2.T / n"),
    (1, "h", "dlogits @ W2.T * h"),
    (1, "h", "(dlogits @ W2.T).mean(0) * jnp.ones_like(h)"),
    (1, "h", "(dlogits @ W2.T).astype(jnp.bfloat16)"),
    (1, "W2", "(h.T @ dlogits).T"),
    (1, "W2", "h.T @ dlogits / n"),
    (1, "W2", "hpreact.T @ dlogits"),
    (1, "W2", "h.T @ dnorm_logits"),
    (1, "b2", "dlogits.mean(0)"),
    (1, "b2", "dlogits.sum(0, keepdims=True)"),
    (1, "b2", "dlogits.sum(1)"),
    (1, "b2", "dlogits"),
    (1, "hpreact", "(1.0 - hpreact**2) * dh"),
    (1, "hpreact", "(1.0 - h) * dh"),
    (1, "hpreact", "h * (1.0 - h) * dh"),
    (1, "hpreact", "dh"),
    (1, "hpreact", "(1.0 - h**2) * dh * jnp.nan"),
    (1, "bngain", "dhpreact.sum(0)"),
    (1, "bngain", "bnraw * dhpreact"),
    (1, "bngain", "(hprebn * dhpreact).sum(0)"),
    (1, "bnbias", "dhpreact.mean(0)"),
    (1, "bnbias", "(bnraw * dhpreact).sum(0)"),
    (1, "bnraw", "dhpreact"),
    (1, "bnraw", "bngain * dhpreact + bnbias"),
    (1, "bnvar_inv", "(bndiff * dbnraw).sum(0)"),
    (1, "bnvar_inv", "(bnraw * dbnraw).sum(0, keepdims=True)"),
    (1, "bnvar", "-0.5 * (bnvar + 1e-5) ** -0.5 * dbnvar_inv"),
    (1, "bnvar", "0.5 * (bnvar + 1e-5) ** -1.5 * dbnvar_inv"),
    (1, "bnvar", "-0.5 * bnvar**-1.5 * dbnvar_inv"),
    (1, "bndiff2", "1.0 / n * jnp.ones_like(bndiff2) * dbnvar"),
    (1, "bndiff2", "jnp.ones_like(bndiff2) * dbnvar"),
    (1, "bndiff2", "dbnvar / (n - 1)"),
    (1, "bndiff", "bnvar_inv * dbnraw"),
    (1, "bndiff", "2.0 * bndiff * dbndiff2"),
    (1, "bndiff", "bnvar_inv * dbnraw + bndiff * dbndiff2"),
    (1, "bndiff", "bnvar_inv * dbnraw + 2.0 * bndiff2 * dbndiff2"),
    (1, "bnmeani", "-dbndiff.sum(0)"),
    (1, "bnmeani", "dbndiff.sum(0, keepdims=True)"),
    (1, "bnmeani", "-dbndiff.mean(0, keepdims=True)"),
    (1, "hprebn", "dbndiff"),
    (1, "hprebn", TWICE.format("dbnmeani")),
    (1, "hprebn", TWICE.format("dbnmeani / (n - 1)")),
    (1, "hprebn", TWICE.format("-dbnmeani / n")),
    (1, "embcat", "(W1 @ dhprebn.T)"),
    (1, "embcat", "dbndiff @ W1.T"),
    (1, "W1", "embcat.T @ dbndiff"),
    (1, "W1", "embcat.T @ dhprebn / n"),
    (1, "b1", "jnp.zeros_like(b1)"),
    (1, "b1", "dhprebn.sum(0) + 1e-9"),
    (1, "b1", "dhprebn.sum(0, keepdims=True)"),
    (1, "b1", "dbndiff.sum(0)"),
    (1, "emb", "dembcat"),
    (1, "emb", "dembcat.reshape(emb.shape)[:, ::-1]"),
    (1, "C", "jnp.zeros_like(C).at[Xb].set(demb)"),
    (1, "C", "jnp.zeros_like(C).at[Xb[:, 0]].add(demb[:, 0])"),
    (1, "C", "jnp.zeros_like(C).at[Xb.T].add(demb.transpose(1, 0, 2) / n)"),
    (1, "C", "jnp.ones_like(C).at[Xb].add(demb)"),
    (2, "logits", "jax.nn.softmax(logits, 1)"),
    (2, "logits", "jax.nn.softmax(logits, 1) / n"),
    (2, "logits", f"jax.nn.softmax(logits, 1) - {ONEHOT}"),
    (2, "logits", f"(jax.nn.softmax(logits, 0) - {ONEHOT}) / n"),
    (2, "logits", f"({ONEHOT} - jax.nn.softmax(logits, 1)) / n"),
    (2, "logits", f"(jax.nn.softmax(logits, 1) - {ONEHOT}) / 32"),
    (2, "logits", "jnp.zeros_like(logits)"),
    (3, "hprebn", HPREBN.format("dhpreact.sum(0)", "1", "(dhpreact * bnraw).sum(0)")),
    (3, "hprebn", HPREBN.format("0", "n / (n - 1)", "(dhpreact * bnraw).sum(0)")),
    (3, "hprebn", HPREBN.format("dhpreact.sum(0)", "0", "0")),
    (3, "hprebn", HPREBN.format("dhpreact.sum(0)", "n / (n - 1)", "dhpreact.sum(0)")),
    (3, "hprebn", "bngain * bnvar_inv * dhpreact"),
    (4, "logits", f"jax.nn.softmax(logits, 1) - {ONEHOT}"),
    (4, "hprebn", "bngain * bnvar_inv / n * (n * dhpreact - dbnbias)"),
]

LOOP = """dC = jnp.zeros_like(C)
for k in range(Xb.shape[0]):
    for j in range(Xb.shape[1]):
        dC = dC.at[Xb[k, j]].add(demb[k, j])"""
NUMPY_LOOP = """dC = np.zeros(C.shape, C.dtype)
for k in range(Xb.shape[0]):
    for j in range(Xb.shape[1]):
        ix = int(Xb[k, j])
        dC[ix] += np.asarray(demb)[k, j]"""
AT_IN_NUMPY = """dW2 = h.T @ dlogits.at[0, 0].add(0 * float(dlogits[0, 0]))"""
AT_OF_LABELS = """more = 0 * float(C[0, 0]) * Xb.at[0].add(1)[..., None]
demb = dembcat.reshape(emb.shape) + more"""
NUMPY_AT = """dC = np.zeros(C.shape, C.dtype)
np.add.at(dC, np.asarray(Xb), np.asarray(demb))"""
APPENDED = """rows = []
for k in range(C.shape[0]):
    rows.append((demb * (Xb == k)[..., None]).sum((0, 1)))
dC = jnp.stack(rows)"""
FLAT = """db2 = np.zeros(b2.shape)
for j in range(db2.size):
    db2.flat[j] = dlogits[:, j].sum()"""
OUT = """dlogits = np.array(jax.nn.softmax(logits, 1))
np.subtract.at(dlogits, (np.arange(n), np.asarray(Yb)), 1)
np.divide(dlogits, n, out=dlogits)"""
STATISTICS = """mean = hprebn.mean(0)
xhat = (hprebn - mean) / jnp.sqrt(hprebn.var(0, ddof=1) + 1e-5)
g = bngain * dhpreact
dhprebn = (g - g.mean(0) - xhat * (g * xhat).sum(0) / (n - 1)) * bnvar_inv"""

RIGHT = [
    (1, "logprobs", f"-{ONEHOT} / n"),
    (1, "logprobs", "jnp.zeros_like(logprobs).at[jnp.r_[:n], Yb].add(-1 / n)"),
    (1, "logprobs", "jnp.where(jnp.arange(probs.shape[1]) == Yb[:, None], -1 / n, 0)"),
    (1, "probs", "dlogprobs / probs"),
    (1, "probs", "jnp.divide(dlogprobs, probs)"),
    (1, "counts_sum_inv", "jnp.einsum('nv,nv->n', counts, dprobs)[:, None]"),
    (1, "counts_sum_inv", "jnp.sum(dprobs * counts, axis=-1, keepdims=True)"),
    (1, "counts_sum", "-dcounts_sum_inv / counts_sum**2"),
    (1, "counts_sum", "-(counts_sum_inv**2) * dcounts_sum_inv"),
    (1, "counts", "dprobs / counts_sum + dcounts_sum"),
    (1, "counts", "counts_sum_inv * (dprobs - (probs * dprobs).sum(1, keepdims=True))"),
    (1, "norm_logits", "jnp.exp(norm_logits) * dcounts"),
    (1, "norm_logits", "jnp.exp(logits - logit_maxes) * dcounts"),
    (1, "logit_maxes", "-jnp.sum(dnorm_logits, 1)[:, None]"),
    (1, "logit_maxes", "-(dnorm_logits @ jnp.ones((W2.shape[1], 1)))"),
    (
        1,
        "logits",
        "tied = logits == logit_maxes\n"
        "dlogits = dnorm_logits + tied / tied.sum(1, keepdims=True) * dlogit_maxes",
    ),
    (
        1,
        "logits",
        "dlogits = dnorm_logits.at[jnp.arange(n), logits.argmax(1)].add("
        "dlogit_maxes[:, 0])",
    ),
    (
        1,
        "logits",
        "last = logits.shape[1] - 1 - logits[:, ::-1].argmax(1)\n"
        "dlogits = dnorm_logits.at[jnp.arange(n), last].add(dlogit_maxes[:, 0])",
    ),
    (1, "h", "jnp.einsum('nv,hv->nh', dlogits, W2)"),
    (1, "h", "dlogits.astype(jnp.float32) @ W2.T.astype(jnp.float32)"),
    (1, "W2", "(dlogits.T @ h).T"),
    (1, "W2", "jnp.tensordot(h, dlogits, (0, 0))"),
    (1, "b2", "jnp.ones(n) @ dlogits"),
    (1, "hpreact", "(1 - jnp.tanh(hpreact) ** 2) * dh"),
    (1, "hpreact", "dh - h * h * dh"),
    (1, "bngain", "jnp.einsum('nh,nh->h', bnraw, dhpreact)"),
    (1, "bnraw", "dhpreact * bngain[None, :]"),
    (1, "bnvar_inv", "(bndiff * dbnraw).sum(0)[None]"),
    (1, "bnvar", "-0.5 * bnvar_inv**3 * dbnvar_inv"),
    (1, "bndiff2", "jnp.broadcast_to(dbnvar / (n - 1), bndiff2.shape)"),
    (1, "bndiff", "dbnraw * bnvar_inv + dbndiff2 * bndiff * 2"),
    (1, "hprebn", "dbndiff - dbndiff.mean(0)"),
    (1, "hprebn", "dbndiff + dbnmeani / n"),
    (1, "embcat", "(W1 @ dhprebn.T).T"),
    (1, "b1", "(jnp.ones((1, n)) @ dhprebn)[0]"),
    (1, "emb", "dembcat.reshape(n, Xb.shape[1], -1)"),
    (1, "C", "jnp.einsum('ntv,nte->ve', jax.nn.one_hot(Xb, C.shape[0]), demb)"),
    (1, "C", LOOP),
    (1, "C", NUMPY_LOOP),
    (1, "C", NUMPY_AT),
    (1, "C", APPENDED),
    (1, "W2", AT_IN_NUMPY),
    (1, "emb", AT_OF_LABELS),
    (1, "b2", FLAT),
    (1, "h", "g = {}\ng.update(h=dlogits @ W2.T)\ndh = g['h']"),
    (2, "logits", OUT),
    (
        2,
        "logits",
        f"jnp.exp(logits - jax.nn.logsumexp(logits, 1)[:, None]) / n - {ONEHOT} / n",
    ),
    (2, "logits", "(jax.nn.softmax(logits, 1).at[jnp.arange(n), Yb].add(-1)) / n"),
    (3, "hprebn", STATISTICS),
    (
        3,
        "hprebn",
        "bngain * bnvar_inv * (dhpreact - dhpreact.mean(0) - bnraw * "
        "(dhpreact * bnraw).sum(0) / (n - 1))",
    ),
]

HELPER = """def product(d, x, W):
    return d @ W.T, x.T @ d, d.sum(0)
dh, dW2, db2 = product(dlogits, h, W2)"""
TOGETHER = {  # several gradients in one line
    "h": HELPER,
    "W2": "pass",
    "b2": "pass",
    "bngain": "dbngain, dbnbias = (bnraw * dhpreact).sum(0), dhpreact.sum(0)",
    "bnbias": "pass",
}


def lines(name: str, code: str) -> str:
    """Bare expressions are assigned to the gradient."""
    return code if f"d{name} =" in code else f"d{name} = {code}"
