"""Images and sentences aligned, as in 2014: a margin loss, its backward by hand.

    python -m experiments.before_autograd.alignment

An image is R regions, a sentence is T words; both are mapped into one space. A word
takes the region that fits it best, and a sentence fits an image by the sum:

    v = X A,  s = Y B          S[k, l] = sum_t max_r v[k, r] . s[l, t]

The true pairs are on the diagonal. The margin loss (Karpathy, Joulin, Fei-Fei 2014)
wants each to win its row and its column by 1; the CLIP-like one is a softmax over each.

Backward: dS from either loss; max passes it to the region that won; then two products.

    dv[k, r] = sum over (l, t) that r won of dS[k, l] s[l, t]
    ds[l, t] = sum_k dS[k, l] v[k, winner]          dA = X^T dv,  dB = Y^T ds
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

K, R, T, CONCEPTS, FEATURES, WORDS, D = 32, 5, 4, 40, 24, 40, 16
TEMPERATURE = 1.0


class Residuals(NamedTuple):
    X: jax.Array  # [K, R, F]
    Y: jax.Array  # [L, T, W]
    A: jax.Array  # [F, D]
    B: jax.Array  # [W, D]
    v: jax.Array  # [K, R, D]
    s: jax.Array  # [L, T, D]
    winner: jax.Array  # [K, L, T] region that fits a word best
    dS: jax.Array  # [K, L] gradient of the loss; cheaper kept than made again


def scores(v: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """S [K, L] and the winning regions [K, L, T]."""
    fits = jnp.einsum("krd,ltd->kltr", v, s)
    return fits.max(-1).sum(-1), fits.argmax(-1)


def margin(S: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Margin loss over the K pairs, and dS; slope 0 where a margin is met exactly."""
    n, true = len(S), jnp.diag(S)
    off = 1 - jnp.eye(n, dtype=S.dtype)
    rows = jnp.maximum(S - true[:, None] + 1, 0) * off  # other sentences
    columns = jnp.maximum(S - true[None] + 1, 0) * off  # other images
    row_on, column_on = (rows > 0).astype(S.dtype), (columns > 0).astype(S.dtype)
    pulled = row_on.sum(1) + column_on.sum(0)  # each margin broken pulls its true pair
    dS = (row_on + column_on - jnp.diag(pulled)) / n
    return (rows.sum() + columns.sum()) / n, dS


def clip_like(S: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean cross entropy of the true pair, in its row and in its column, and dS."""
    n, logits = len(S), S / TEMPERATURE
    rows, columns = jax.nn.log_softmax(logits, 1), jax.nn.log_softmax(logits, 0)
    loss = -(jnp.diag(rows) + jnp.diag(columns)).mean() / 2
    pull = 2 * jnp.eye(n, dtype=S.dtype)
    return loss, (jnp.exp(rows) + jnp.exp(columns) - pull) / (2 * n * TEMPERATURE)


LOSSES = {"margin": margin, "clip": clip_like}


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def alignment(A, B, X, Y, loss="margin"):
    """Loss of K images X [K, R, F] with their K sentences Y [K, T, W]."""
    return LOSSES[loss](scores(X @ A, Y @ B)[0])[0]


def alignment_fwd(A, B, X, Y, loss):
    v, s = X @ A, Y @ B
    S, winner = scores(v, s)
    value, dS = LOSSES[loss](S)
    return value, Residuals(X, Y, A, B, v, s, winner, dS)


def alignment_bwd(loss, res, dloss):
    """Returns dA, dB, dX, dY."""
    dS = dloss * res.dS
    won = jax.nn.one_hot(res.winner, res.v.shape[1], dtype=dS.dtype)  # [K, L, T, R]
    dfits = dS[:, :, None, None] * won
    dv = jnp.einsum("kltr,ltd->krd", dfits, res.s)
    ds = jnp.einsum("kltr,krd->ltd", dfits, res.v)
    dA = jnp.einsum("krf,krd->fd", res.X, dv)
    dB = jnp.einsum("ltw,ltd->wd", res.Y, ds)
    return dA, dB, dv @ res.A.T, ds @ res.B.T


alignment.defvjp(alignment_fwd, alignment_bwd)


def example(key: jax.Array, n: int = K) -> tuple[jax.Array, ...]:
    """A [F, D], B [W, D], X [n, R, F], Y [n, T, W].

    Each image shows R concepts, with noise; its sentence names T of them. What a
    concept looks like is drawn once and for all: any key gives more of the same.
    """
    keys = jax.random.split(key, 5)
    looks = jax.random.normal(jax.random.key(0), (CONCEPTS, FEATURES))
    concepts = jax.random.randint(keys[0], (n, R), 0, CONCEPTS)
    noise = 0.2 * jax.random.normal(keys[1], (n, R, FEATURES))
    A = 0.1 * jax.random.normal(keys[2], (FEATURES, D))
    B = 0.1 * jax.random.normal(keys[3], (WORDS, D))
    Y = jax.nn.one_hot(concepts[:, :T], WORDS) + 0.05 * jax.random.normal(
        keys[4], (n, T, WORDS)
    )
    return A, B, looks[concepts] + noise, Y


def recall(A, B, X, Y) -> float:
    """Share of the images whose own sentence fits best."""
    S, _ = scores(X @ A, Y @ B)
    return float((S.argmax(1) == jnp.arange(len(S))).mean())


@partial(jax.jit, static_argnums=(0, 1))
def train(loss: str, steps: int, lr: float, key: jax.Array) -> tuple:
    """A and B after plain SGD, a fresh set of pairs each step."""
    A, B, _, _ = example(key)

    def step(maps, key):
        _, _, X, Y = example(key)
        value, grads = jax.value_and_grad(alignment, (0, 1))(*maps, X, Y, loss)
        return jax.tree.map(lambda p, g: p - lr * g, maps, grads), value

    return jax.lax.scan(step, (A, B), jax.random.split(key, steps))


def compare(steps: int = 1_000) -> dict[str, float]:
    """Recall at 1 among 200 new pairs, by loss, before and after training."""
    A, B, X, Y = example(jax.random.key(9), 200)
    found = {"before training": recall(A, B, X, Y)}
    for loss, lr in (("margin", 0.01), ("clip", 0.3)):
        maps, _ = train(loss, steps, lr, jax.random.key(1))
        found[f"{loss} loss"] = recall(*maps, X, Y)
    return found


if __name__ == "__main__":
    print("| | recall at 1 of 200 |\n|---|---:|")
    for name, value in compare().items():
        print(f"| {name} | {value:.3f} |")
