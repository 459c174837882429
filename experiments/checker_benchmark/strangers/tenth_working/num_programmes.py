"""Dynamic programs: alignments, segments, sums of coins."""

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


@case(
    "max-plus products of tropical networks and shortest paths in jax",
    "maximum over sums",
    lambda rng: (normal(rng, 3, 4), normal(rng, 4, 5)),
    Twin(
        "columns",
        "index|axis|swap|transpose|operand",
        "b",
        "The winner's row in b is taken for the row of a.",
    ),
    Twin(
        "several",
        "duplicates|index|sum",
        "a",
        "An entry that wins for several columns has one of their gradients.",
    ),
)
def tropical_matmul(slip):
    def plain(a, b):
        return (a[:, :, None] + b[None]).max(1)

    mp = jax.custom_vjp(plain)

    def mp_fwd(a, b):
        s = a[:, :, None] + b[None]
        won = s.argmax(1)
        y = jnp.take_along_axis(s, won[:, None], 1)[:, 0]
        return y, (won, a, b)

    def mp_bwd(res, g):
        won, a, b = res
        i = jnp.arange(won.shape[0])[:, None]
        j = jnp.arange(won.shape[1])[None]
        if slip == "several":
            da = jnp.zeros_like(a).at[i, won].set(g)
        else:
            da = jnp.zeros_like(a).at[i, won].add(g)
        at = jnp.broadcast_to(i, won.shape) if slip == "columns" else won
        return da, jnp.zeros_like(b).at[at, j].add(g)

    mp.defvjp(mp_fwd, mp_bwd)
    return mp, plain


@case(
    "smooth Needleman-Wunsch of end-to-end alignment (SMURF) in jax",
    "dynamic programming with a soft maximum",
    lambda rng: (normal(rng, 4, 5), jnp.asarray(-0.7, jnp.float32), 0.8),
    Twin(
        "gap of one side",
        "term|path",
        "gap",
        "The gap's gradient counts gaps in one of the two sequences.",
    ),
    Twin(
        "temperature",
        "factor|ratio|option",
        "sim gap",
        "The gradient is divided by the temperature.",
    ),
    Twin(
        "first row",
        "term|edge|path|index|region",
        "gap",
        "The gap's gradient lacks the gaps at the border.",
    ),
    narrow=False,
)
def needleman_wunsch_smooth(slip):
    def table(sim, gap, temp):
        n, m = sim.shape
        softmax_of = lambda *vs: temp * jax.nn.logsumexp(jnp.stack(vs) / temp)  # noqa: E731
        H = {(i, 0): gap * i for i in range(n + 1)}
        H |= {(0, j): gap * j for j in range(m + 1)}
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                diag = H[i - 1, j - 1] + sim[i - 1, j - 1]
                up, left = H[i - 1, j] + gap, H[i, j - 1] + gap
                H[i, j] = softmax_of(diag, up, left)
        rows = [jnp.stack([H[i, j] for j in range(m + 1)]) for i in range(n + 1)]
        return jnp.stack(rows)

    def plain(sim, gap, temp):
        return table(sim, gap, temp)[-1, -1]

    align = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(sim, gap, temp):
        H = table(sim, gap, temp)
        return H[-1, -1], (H, sim, gap)

    def bwd(temp, res, g):
        H, sim, gap = res
        n, m = sim.shape
        E = jnp.zeros_like(H).at[n, m].set(g)
        dsim, dgap = jnp.zeros_like(sim), jnp.zeros_like(gap)
        for i in range(n, 0, -1):
            for j in range(m, 0, -1):
                out = E[i, j]
                p_diag = jnp.exp((H[i - 1, j - 1] + sim[i - 1, j - 1] - H[i, j]) / temp)
                p_up = jnp.exp((H[i - 1, j] + gap - H[i, j]) / temp)
                p_left = jnp.exp((H[i, j - 1] + gap - H[i, j]) / temp)
                E = E.at[i - 1, j - 1].add(out * p_diag)
                E = E.at[i - 1, j].add(out * p_up).at[i, j - 1].add(out * p_left)
                dsim = dsim.at[i - 1, j - 1].set(out * p_diag)
                dgap = dgap + out * p_up
                if slip != "gap of one side":
                    dgap = dgap + out * p_left
        if slip != "first row":
            dgap = dgap + (E[0] * jnp.arange(m + 1)).sum()
            dgap = dgap + (E[1:, 0] * jnp.arange(1, n + 1)).sum()
        if slip == "temperature":
            dsim, dgap = dsim / temp, dgap / temp
        return dsim, dgap

    align.defvjp(fwd, bwd)
    return align, plain


@case(
    "semi-Markov CRF of pytorch-struct in jax ports",
    "segmental log partition",
    lambda rng: (normal(rng, 6, 3, 2), normal(rng, 2, 2)),
    Twin(
        "lengths",
        "index|elements|region|operand",
        "segments",
        "Marginals of segments are written at the next length.",
    ),
    Twin(
        "first segment",
        "term|mask|region|edge|factor",
        "transition",
        "The first segment counts as if a transition led to it.",
    ),
    Twin(
        "transposed",
        "transpose",
        "transition",
        "Counts of transitions are from the later to the earlier label.",
    ),
    narrow=False,
)
def semi_markov_partition(slip):
    # segments [T, L, K]: score of a segment that ends at t, is l + 1 long, of label k
    def alphas(segments, transition):
        T, L, K = segments.shape
        out = []
        for t in range(T):
            ways = []
            for l in range(min(L, t + 1)):
                s = t - l
                if s == 0:
                    into = jnp.zeros(K, segments.dtype)
                else:
                    into = jax.nn.logsumexp(out[s - 1][:, None] + transition, axis=0)
                ways.append(into + segments[t, l])
            out.append(jax.nn.logsumexp(jnp.stack(ways), axis=0))
        return jnp.stack(out)

    def plain(segments, transition):
        return jax.nn.logsumexp(alphas(segments, transition)[-1])

    logz = jax.custom_vjp(plain)

    def fwd(segments, transition):
        a = alphas(segments, transition)
        return jax.nn.logsumexp(a[-1]), (segments, transition, a)

    def bwd(res, g):
        segments, transition, a = res
        T, L, K = segments.shape
        da = jnp.zeros_like(a).at[-1].set(g * jax.nn.softmax(a[-1]))
        dseg, dtr = jnp.zeros_like(segments), jnp.zeros_like(transition)
        for t in range(T - 1, -1, -1):
            for l in range(min(L, t + 1)):
                s = t - l
                if s == 0:
                    w = da[t] * jnp.exp(segments[t, l] - a[t])
                    if slip == "first segment":
                        dtr = dtr + w / K
                else:
                    joint = a[s - 1][:, None] + transition + segments[t, l] - a[t]
                    pair = da[t] * jnp.exp(joint)
                    da = da.at[s - 1].add(pair.sum(1))
                    dtr = dtr + (pair.T if slip == "transposed" else pair)
                    w = pair.sum(0)
                at = (l + 1) % L if slip == "lengths" else l
                dseg = dseg.at[t, at].add(w)
        return dseg, dtr

    logz.defvjp(fwd, bwd)
    return logz, plain
