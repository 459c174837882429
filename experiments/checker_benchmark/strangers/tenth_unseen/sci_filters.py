"""Delays, lattices and filters there and back."""

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
    "median filters of spectrograms (librosa's hpss) in jax",
    "order statistic in a window",
    lambda rng: (normal(rng, 3, 8), 3),
    Twin(
        "offset",
        "index|region|edge|elements",
        "x",
        "The window's offset is forgotten where the gradient is put back.",
    ),
    Twin(
        "overwritten",
        "duplicates|index|sum",
        "x",
        "A sample that is the median of several windows keeps one gradient.",
    ),
    Twin(
        "outside",
        "edge|index|mask|region|elements",
        "x",
        "What falls on the border's copies is lost.",
    ),
)
def median_filter_1d(slip):
    def windows(x, size):
        r = size // 2
        at = jnp.arange(x.shape[1])[:, None] + jnp.arange(-r, r + 1)
        return jnp.clip(at, 0, x.shape[1] - 1)

    def plain(x, size):
        return jnp.sort(x[:, windows(x, size)], axis=-1)[..., size // 2]

    med = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, size):
        w = x[:, windows(x, size)]
        pick = jnp.argsort(w, axis=-1)[..., size // 2]
        return jnp.take_along_axis(w, pick[..., None], -1)[..., 0], (pick, x)

    def bwd(size, res, g):
        pick, x = res
        r = 0 if slip == "offset" else size // 2
        src = jnp.arange(x.shape[1]) + pick - r
        if slip == "outside":
            g = jnp.where((src >= 0) & (src < x.shape[1]), g, 0)
            g = g.at[:, 0].multiply(pick[:, 0] > r)
        src = jnp.clip(src, 0, x.shape[1] - 1)
        row = jnp.arange(len(x))[:, None]
        at = jnp.zeros_like(x).at[row, src]
        return (at.set(g) if slip == "overwritten" else at.add(g),)

    med.defvjp(fwd, bwd)
    return med, plain


@case(
    "neural mass and Mackey-Glass models with delays, by Euler steps, in jax",
    "delay differential equation",
    lambda rng: (normal(rng, 3), jnp.asarray([0.6, 1.3], jnp.float32), (3, 8, 0.2)),
    Twin(
        "delay",
        "index|region|path|term",
        "start rates",
        "The delayed state's gradient arrives one step late.",
    ),
    Twin(
        "history",
        "edge|term|path|mask|region|elements",
        "start",
        "Only the first entry of the history gets what it drives later on.",
    ),
    Twin(
        "undelayed slope",
        "residual|operand|index",
        "start rates",
        "The slope of the delayed drive is taken at the present state.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def delay_equation_rollout(slip):
    # start holds x(-2), x(-1), x(0); dx/dt = -a x + b tanh(x(t - delay))
    def walk(start, rates, how):
        delay, steps, dt = how
        x = [start[i] for i in range(delay)]
        for n in range(delay - 1, delay - 1 + steps):
            drive = rates[1] * jnp.tanh(x[n - delay + 1])
            x.append(x[n] + dt * (-rates[0] * x[n] + drive))
        return jnp.stack(x)

    def plain(start, rates, how):
        return walk(start, rates, how)[how[0] :]

    rollout = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(start, rates, how):
        x = walk(start, rates, how)
        return x[how[0] :], (x, rates)

    def bwd(how, res, g):
        delay, steps, dt = how
        x, rates = res
        lam = jnp.concatenate([jnp.zeros(delay, g.dtype), g])
        da = db = jnp.zeros((), g.dtype)
        for n in range(delay - 2 + steps, delay - 2, -1):
            out = lam[n + 1]
            old = n - delay + 1
            t = jnp.tanh(x[n] if slip == "undelayed slope" else x[old])
            lam = lam.at[n].add(out * (1 - dt * rates[0]))
            to = min(old + 1, n) if slip == "delay" else old
            if slip != "history" or old == 0 or old >= delay:
                lam = lam.at[to].add(out * dt * rates[1] * (1 - t * t))
            da = da - out * dt * x[n]
            db = db + out * dt * t
        return lam[:delay], jnp.stack([da, db])

    rollout.defvjp(fwd, bwd)
    return rollout, plain
