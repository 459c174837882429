"""Dropout with keys, and cells that are scanned over time."""

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
    "alpha dropout of self-normalising networks in haiku ports, with a key",
    "dropout",
    lambda rng: (normal(rng, 6, 8), jax.random.PRNGKey(3), 0.1),
    Twin(
        "another key",
        "mask|region|predicate|residual",
        "x",
        "The key is split before the mask is drawn again.",
    ),
    Twin(
        "scale of plain dropout",
        "ratio|factor|constant",
        "x",
        "Kept units are divided by the probability to keep, as in plain dropout.",
    ),
    Twin(
        "dropped units",
        "mask|region|predicate",
        "x",
        "Units that were set to the saturation value still get gradients.",
    ),
    options=lambda plain: {"nondiff": ("key",)},
)
def alpha_dropout(slip):
    saturation = -1.7580993408473766

    def affine(rate):
        keep = 1 - rate
        a = (keep + saturation**2 * keep * rate) ** -0.5
        return a, -a * saturation * rate

    def plain(x, key, rate):
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        a, b = affine(rate)
        return a * jnp.where(kept, x, saturation) + b

    drop = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, key, rate):
        return plain(x, key, rate), (key,)

    def bwd(rate, res, g):
        (key,) = res
        if slip == "another key":
            key = jax.random.split(key)[0]
        kept = jax.random.bernoulli(key, 1 - rate, g.shape)
        a = 1 / (1 - rate) if slip == "scale of plain dropout" else affine(rate)[0]
        if slip == "dropped units":
            return a * g, None
        return a * jnp.where(kept, g, 0), None

    drop.defvjp(fwd, bwd)
    return drop, plain


def irregular(rng):
    params = {
        "x": normal(rng, 3, 3, 4, std=0.4),
        "h": normal(rng, 3, 4, 4, std=0.4),
        "b": jnp.zeros((3, 4)),
    }
    steps = jnp.asarray(rng.uniform(0.5, 1.5, 6), jnp.float32)
    return normal(rng, 6, 3), steps, jnp.zeros(4), params


@case(
    "closed-form continuous-time cells (CfC) in equinox, with irregular time steps",
    "recurrence",
    irregular,
    Twin(
        "time in the gate",
        "ratio|factor|operand",
        "params",
        "The gate's rate gets its cotangent without the time that has passed.",
    ),
    Twin(
        "gate's sign",
        "sign",
        "params",
        "The gate falls with its rate, and is pulled back as if it rose.",
    ),
    Twin(
        "state after the step",
        "index|residual|operand",
        "params",
        "The recurrent weights see the state that a step leaves, not that it finds.",
    ),
    options=lambda plain: {"nondiff": ("steps",)},
    fixed=(1,),
)
def closed_form_continuous_scan(slip):
    def heads(x, h, params):
        """Rate, and the two states that time moves between."""
        out = jnp.einsum("d,kdh->kh", x, params["x"]) + params["b"]
        out = out + jnp.einsum("d,kdh->kh", h, params["h"])
        return out[0], jnp.tanh(out[1]), jnp.tanh(out[2])

    def step(params, h, inputs):
        x, t = inputs
        rate, early, late = heads(x, h, params)
        gate = jax.nn.sigmoid(-rate * t)
        h = gate * early + (1 - gate) * late
        return h, h

    @jax.custom_vjp
    def cell(xs, steps, h0, params):
        return jax.lax.scan(lambda h, i: step(params, h, i), h0, (xs, steps))[1]

    def fwd(xs, steps, h0, params):
        hs = cell.fun(xs, steps, h0, params)
        return hs, (xs, steps, h0, params, hs)

    def bwd(res, g):
        xs, steps, h0, params, hs = res
        before = jnp.concatenate([h0[None], hs[:-1]])

        def back(carry, inputs):
            dh, grads = carry
            x, t, h, after, dy = inputs
            dh = dh + dy
            rate, early, late = heads(x, h, params)
            gate = jax.nn.sigmoid(-rate * t)
            drate = dh * (early - late) * gate * (1 - gate)
            drate = drate if slip == "gate's sign" else -drate
            if slip != "time in the gate":
                drate = drate * t
            dearly = dh * gate * (1 - early**2)
            dlate = dh * (1 - gate) * (1 - late**2)
            dout = jnp.stack([drate, dearly, dlate])
            seen = after if slip == "state after the step" else h
            more = {
                "x": jnp.einsum("d,kh->kdh", x, dout),
                "h": jnp.einsum("d,kh->kdh", seen, dout),
                "b": dout,
            }
            grads = jax.tree.map(jnp.add, grads, more)
            dx = jnp.einsum("kdh,kh->d", params["x"], dout)
            return (jnp.einsum("kdh,kh->d", params["h"], dout), grads), dx

        start = jnp.zeros_like(h0), jax.tree.map(jnp.zeros_like, params)
        inputs = xs, steps, before, hs, g
        (dh0, grads), dxs = jax.lax.scan(back, start, inputs, reverse=True)
        return dxs, jnp.zeros_like(steps), dh0, grads

    cell.defvjp(fwd, bwd)
    return cell, cell.fun


def zoned(rng):
    params = {"u": normal(rng, 4, 4, std=0.5), "b": jnp.zeros(4)}
    return normal(rng, 5, 4), normal(rng, 4, std=0.1), params, jax.random.key(2), 0.15


@case(
    "zoneout of recurrent states, with a key that is folded at each step, in haiku",
    "recurrence",
    zoned,
    Twin(
        "units that are kept",
        "term|path|mask|region",
        "xs h0 params",
        "Units that keep their old value pass no gradient to it.",
    ),
    Twin(
        "step of the key",
        "index|mask|region|predicate",
        "xs h0 params",
        "The key is folded with the steps counted from the end.",
    ),
    options=lambda plain: {"nondiff": ("key",)},
)
def zoneout_scan(slip):
    def kept(key, step, rate, like):
        return jax.random.bernoulli(jax.random.fold_in(key, step), rate, like.shape)

    def plain(xs, h0, params, key, rate):
        def step(h, inputs):
            i, x = inputs
            new = jnp.tanh(x + h @ params["u"] + params["b"])
            h = jnp.where(kept(key, i, rate, h), h, new)
            return h, h

        return jax.lax.scan(step, h0, (jnp.arange(len(xs)), xs))[1]

    cell = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(xs, h0, params, key, rate):
        hs = plain(xs, h0, params, key, rate)
        return hs, (xs, h0, params, key, hs)

    def bwd(rate, res, g):
        xs, h0, params, key, hs = res
        before = jnp.concatenate([h0[None], hs[:-1]])

        def back(dh, inputs):
            i, x, h, dy = inputs
            dh = dh + dy
            new = jnp.tanh(x + h @ params["u"] + params["b"])
            at = len(xs) - 1 - i if slip == "step of the key" else i
            keep = kept(key, at, rate, h)
            dinner = jnp.where(keep, 0, dh * (1 - new * new))
            down = dinner @ params["u"].T
            if slip != "units that are kept":
                down = down + jnp.where(keep, dh, 0)
            return down, dinner

        inputs = jnp.arange(len(xs)), xs, before, g
        dh0, dinner = jax.lax.scan(back, jnp.zeros_like(h0), inputs, reverse=True)
        return dinner, dh0, {"u": before.T @ dinner, "b": dinner.sum(0)}, None

    cell.defvjp(fwd, bwd)
    return cell, plain
