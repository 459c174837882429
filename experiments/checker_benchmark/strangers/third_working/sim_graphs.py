"""Graphs, alignments and silhouettes."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def messages(rng):
    return normal(rng, 7, 3), jnp.asarray([0, 0, 1, 1, 1, 2, 2], jnp.int32), 3


@case(
    "principal neighbourhood aggregation in jraph: mean, deviation and maximum",
    "graph layer",
    messages,
    Twin(
        "maximum to all",
        "mask|region|predicate|elements",
        "messages",
        "The maximum's gradient goes to every message, not to the largest.",
    ),
    Twin(
        "deviation not per degree",
        "ratio|factor|operand",
        "messages",
        "The deviation is pulled back without the number of messages.",
    ),
    Twin(
        "winners whole",
        "ratio|factor|duplicates|mask|edge",
        "messages",
        "Messages that are equally large each have the maximum's whole gradient.",
        witness=lambda rng: (jnp.maximum(messages(rng)[0], 0.5), *messages(rng)[1:]),
    ),
    options=by_reference,
    narrow=False,
)
def principal_aggregation(slip):
    eps = 1e-5

    def plain(messages, receivers, nodes):
        member = (receivers == jnp.arange(nodes)[:, None])[..., None]
        degree = jnp.maximum(member.sum(1), 1)
        mean = jnp.where(member, messages, 0).sum(1) / degree
        centred = jnp.where(member, messages - mean[:, None], 0)
        deviation = jnp.sqrt((centred**2).sum(1) / degree + eps)
        most = jnp.where(member, messages, -jnp.inf).max(1)
        most = jnp.where(member.any(1), most, 0)
        return jnp.concatenate([mean, deviation, most], -1)

    def parts(messages, receivers, nodes):
        def total(a):
            return jax.ops.segment_sum(a, receivers, nodes)

        count = total(jnp.ones_like(messages[:, :1]))
        degree = jnp.maximum(count, 1)
        mean = total(messages) / degree
        centred = messages - mean[receivers]
        deviation = jnp.sqrt(total(centred**2) / degree + eps)
        most = jax.ops.segment_max(messages, receivers, nodes)
        most = jnp.where(count > 0, most, 0)
        return count, degree, mean, centred, deviation, most

    def run(messages, receivers, nodes):
        _, _, mean, _, deviation, most = parts(messages, receivers, nodes)
        return jnp.concatenate([mean, deviation, most], -1)

    aggregate = jax.custom_vjp(run, nondiff_argnums=(2,))

    def fwd(messages, receivers, nodes):
        return run(messages, receivers, nodes), (messages, receivers)

    def bwd(nodes, res, g):
        messages, receivers = res
        known = parts(messages, receivers, nodes)
        _, degree, _, centred, deviation, most = known
        dmean, ddeviation, dmost = jnp.split(g, 3, -1)
        per = 1.0 if slip == "deviation not per degree" else degree
        spread = ddeviation / (per * deviation)
        won = (messages == most[receivers]).astype(g.dtype)
        winners = jnp.maximum(jax.ops.segment_sum(won, receivers, nodes), 1)
        if slip == "winners whole":
            winners = jnp.ones_like(winners)
        if slip == "maximum to all":
            won = jnp.ones_like(won)
        dx = (dmean / degree)[receivers] + spread[receivers] * centred
        return dx + won * (dmost / winners)[receivers], None

    aggregate.defvjp(fwd, bwd)
    return aggregate, plain


def series(gamma):
    def args(rng):
        return normal(rng, 5, 2), normal(rng, 4, 2), gamma

    return args


@case(
    "soft-DTW between two series, as ported to JAX from tslearn",
    "alignment",
    series(1.0),
    Twin(
        "no diagonal",
        "term|path",
        "x y",
        "What comes back along the diagonal step is left out.",
    ),
    Twin(
        "temperature",
        "option|factor|operand|ratio",
        "x y",
        "The weights of the steps are taken at a temperature of 1.",
        witness=series(0.3),
    ),
    Twin(
        "own index",
        "index|residual|operand",
        "x y",
        "The costs in the weights are those of the cell, not of the one after it.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def soft_dtw(slip):
    def costs(x, y):
        return ((x[:, None] - y) ** 2).sum(-1)

    def table(cost, gamma):
        """Accumulated costs with a border above and on the left."""
        far = jnp.asarray(1e8, cost.dtype)

        def row(above, line):
            def cell(carry, part):
                left, corner = carry
                top, here = part
                ways = -jnp.stack([corner, top, left]) / gamma
                value = here - gamma * jax.nn.logsumexp(ways)
                return (value, top), value

            _, values = lax.scan(cell, (far, above[0]), (above[1:], line))
            new = jnp.concatenate([far[None], values])
            return new, new

        first = jnp.full(cost.shape[1] + 1, far).at[0].set(0)
        return jnp.concatenate([first[None], lax.scan(row, first, cost)[1]])

    def plain(x, y, gamma):
        return table(costs(x, y), gamma)[-1, -1]

    distance = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, gamma):
        cost = costs(x, y)
        total = table(cost, gamma)
        return total[-1, -1], (x, y, cost, total)

    def bwd(gamma, res, g):
        x, y, cost, total = res
        n, m = cost.shape
        heat = 1.0 if slip == "temperature" else gamma
        here = jnp.pad(total[1:, 1:], ((0, 1), (0, 1)), constant_values=-jnp.inf)
        wide = jnp.pad(cost, ((0, 1), (0, 1)))

        def weight(i, j, down, right):
            a, b = i + down, j + right
            paid = wide[i, j] if slip == "own index" else wide[a, b]
            return jnp.exp((here[a, b] - here[i, j] - paid) / heat)

        def cell(k, share):
            i, j = n - 1 - k // m, m - 1 - k % m
            value = share[i + 1, j] * weight(i, j, 1, 0)
            value = value + share[i, j + 1] * weight(i, j, 0, 1)
            if slip != "no diagonal":
                value = value + share[i + 1, j + 1] * weight(i, j, 1, 1)
            return share.at[i, j].set(value)

        share = jnp.zeros((n + 1, m + 1), x.dtype).at[n - 1, m - 1].set(1)
        share = lax.fori_loop(1, n * m, cell, share)[:n, :m] * g
        dx = 2 * (share.sum(1)[:, None] * x - share @ y)
        dy = 2 * (share.sum(0)[:, None] * y - share.T @ x)
        return dx, dy

    distance.defvjp(fwd, bwd)
    return distance, plain


def faces(rng):
    return normal(rng, 4, 3, std=0.5), jnp.float32(0.3), jnp.ones((4, 3), bool)


@case(
    "soft silhouettes of meshes (SoftRas, pytorch3d), as ported to JAX",
    "rendering",
    faces,
    Twin(
        "own face",
        "factor|term|path|operand",
        "distance sigma",
        "That the other faces cover the pixel too is left out.",
    ),
    Twin(
        "padded faces",
        "mask|region|predicate",
        "distance sigma",
        "Faces that are padding are pulled back.",
        witness=lambda rng: (
            *faces(rng)[:2],
            jnp.asarray([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], bool),
        ),
    ),
    Twin(
        "sharpness for the width",
        "function|sign|factor|ratio",
        "sigma",
        "The width's gradient is that of its inverse.",
    ),
    fixed=(1,),
)
def soft_silhouette(slip):
    def clear(distance, sigma, used):
        """The logarithm of what shows through all faces of a pixel."""
        through = jax.nn.log_sigmoid(-distance / sigma)
        return jnp.where(used, through, 0).sum(-1)

    @jax.custom_vjp
    def silhouette(distance, sigma, used):
        return -jnp.expm1(clear(distance, sigma, used))

    def fwd(distance, sigma, used):
        return silhouette.fun(distance, sigma, used), (distance, sigma, used)

    def bwd(res, g):
        distance, sigma, used = res
        cover = jax.nn.sigmoid(distance / sigma)
        shown = jnp.exp(clear(distance, sigma, used))[:, None]
        if slip == "own face":
            shown = 1 - cover
        dscaled = g[:, None] * shown * cover
        if slip != "padded faces":
            dscaled = jnp.where(used, dscaled, 0)
        dsigma = -(dscaled * distance).sum() / sigma**2
        if slip == "sharpness for the width":
            dsigma = (dscaled * distance).sum()
        return dscaled / sigma, dsigma, None

    silhouette.defvjp(fwd, bwd)
    return silhouette, silhouette.fun
