"""Recurrences with gates: peepholes, resets, exponential gates, light cells."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def griffin_args(rng):
    gates = (normal(rng, 5, 3), normal(rng, 5, 3))
    return normal(rng, 5, 3), gates, positive(rng, 3), jnp.zeros(5, bool)


def packed_griffin_args(rng):
    *rest, reset = griffin_args(rng)
    return *rest, reset.at[2].set(True)


@case(
    "real-gated linear recurrent unit (RG-LRU) of RecurrentGemma",
    "recurrence",
    griffin_args,
    Twin(
        "multiplier held fixed",
        "term|path",
        "gates rate",
        "The root of 1 - a^2 is not differentiated.",
    ),
    Twin(
        "resets forgotten",
        "mask|region|predicate|term|path",
        "x gates rate",
        "The carried cotangent crosses from one packed sequence to the last.",
        witness=packed_griffin_args,
    ),
    Twin(
        "slope of the softplus",
        "factor|function|operand",
        "rate",
        "1 is used where the sigmoid of the rate belongs.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def real_gated_recurrence(slip):
    def decays(gates, rate, reset):
        keep = jax.nn.sigmoid(gates[0])
        log_a = -2 * jax.nn.softplus(rate) * keep
        a = jnp.where(reset[:, None], 0, jnp.exp(log_a))
        root = jnp.sqrt(-jnp.expm1(2 * log_a))
        return keep, a, log_a, jnp.where(reset[:, None], 1, root)

    def states(a, u):
        def step(h, now):
            h = now[0] * h + now[1]
            return h, h

        return lax.scan(step, jnp.zeros_like(u[0]), (a, u))[1]

    def plain(x, gates, rate, reset):
        _, a, _, root = decays(gates, rate, reset)
        return states(a, root * jax.nn.sigmoid(gates[1]) * x)

    unit = jax.custom_vjp(plain)

    def fwd(x, gates, rate, reset):
        h = plain(x, gates, rate, reset)
        return h, (x, gates, rate, reset, h)

    def bwd(res, g):
        x, gates, rate, reset, h = res
        keep, a, log_a, root = decays(gates, rate, reset)
        carried = jnp.exp(log_a) if slip == "resets forgotten" else a
        later = jnp.concatenate([carried[1:], jnp.zeros_like(a[:1])])
        du = states(later[::-1], g[::-1])[::-1]
        before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
        dlog = du * before * a
        enter = jax.nn.sigmoid(gates[1])
        if slip != "multiplier held fixed":
            droot = du * enter * x
            dlog = dlog - jnp.where(
                reset[:, None], 0, droot * jnp.exp(2 * log_a) / root
            )
        soft = jax.nn.softplus(rate)
        slope = jax.nn.sigmoid(rate)
        slope = 1 if slip == "slope of the softplus" else slope
        dkeep = -2 * soft * dlog * keep * (1 - keep)
        denter = du * root * x * enter * (1 - enter)
        drate = (-2 * keep * dlog).sum(0) * slope
        return du * root * enter, (dkeep, denter), drate, None

    unit.defvjp(fwd, bwd)
    return unit, plain


@case(
    "scalar LSTM with exponential gates in xLSTM ports",
    "recurrence",
    draw(z=(5, 3), i=(5, 3), f=(5, 3), o=(5, 3)),
    Twin(
        "normaliser held fixed",
        "term|path",
        "i f",
        "The normaliser's state has no cotangent.",
    ),
    Twin(
        "forget gate is exponential",
        "factor|function|operand",
        "f",
        "The slope of the log-sigmoid is left out.",
    ),
    Twin(
        "previous stabiliser",
        "residual|operand|index|factor|ratio",
        "z i f",
        "The carried cotangent decays by the sigmoid, without the stabilisers.",
    ),
    narrow=False,
)
def exponential_gate_lstm(slip):
    def step(state, gates):
        c, n, m = state
        z, i, f, o = gates
        log_f = jax.nn.log_sigmoid(f)
        high = jnp.maximum(log_f + m, i)
        keep, enter = jnp.exp(log_f + m - high), jnp.exp(i - high)
        new = (keep * c + enter * jnp.tanh(z), keep * n + enter, high)
        y = jax.nn.sigmoid(o) * new[0] / new[1]
        return new, (y, (keep, enter, c, n, new[0], new[1]))

    def start(z):
        zero = jnp.zeros_like(z[0])
        return zero, zero, zero - 1e4

    def plain(z, i, f, o):
        return lax.scan(step, start(z), (z, i, f, o))[1][0]

    cell = jax.custom_vjp(plain)

    def fwd(z, i, f, o):
        _, (y, kept) = lax.scan(step, start(z), (z, i, f, o))
        return y, (z, f, o, kept)

    def bwd(res, g):
        z, f, o, kept = res

        def back(carry, now):
            dc, dn = carry
            g, z, f, o, (keep, enter, c, n, new_c, new_n) = now
            gate, u = jax.nn.sigmoid(o), jnp.tanh(z)
            dc = dc + g * gate / new_n
            if slip != "normaliser held fixed":
                dn = dn - g * gate * new_c / new_n**2
            slope = 1 if slip == "forget gate is exponential" else jax.nn.sigmoid(-f)
            df = (dc * c + dn * n) * keep * slope
            di = (dc * u + dn) * enter
            dz = dc * enter * (1 - u * u)
            do = g * (new_c / new_n) * gate * (1 - gate)
            decay = jax.nn.sigmoid(f) if slip == "previous stabiliser" else keep
            return (dc * decay, dn * decay), (dz, di, df, do)

        zero = jnp.zeros_like(z[0])
        return lax.scan(back, (zero, zero), (g, z, f, o, kept), reverse=True)[1]

    cell.defvjp(fwd, bwd)
    return cell, plain


def light_args(rng):
    return *(normal(rng, 5, 2, 3) for _ in range(3)), jnp.zeros(3), normal(rng, 2, 3)


@case(
    "simple recurrent units (SRU), time first",
    "recurrence",
    light_args,
    Twin(
        "highway's other part",
        "term|path|zero",
        "x",
        "The input that passes by the cell has no gradient.",
    ),
    Twin(
        "forget gate at the cell before",
        "operand|residual|index",
        "forget bias",
        "The gate's gradient takes the new state instead of the old one.",
    ),
    Twin(
        "bias over the batch",
        "sum|axis|term|path|ratio|factor",
        "bias",
        "The bias is summed over the time of the first row only.",
    ),
)
def simple_recurrent_unit(slip):
    def plain(x, forget, reset, bias, first):
        def step(c, now):
            x, forget, reset = now
            f, r = jax.nn.sigmoid(forget + bias), jax.nn.sigmoid(reset)
            c = f * c + (1 - f) * x
            return c, r * jnp.tanh(c) + (1 - r) * x

        return lax.scan(step, first, (x, forget, reset))[::-1]

    sru = jax.custom_vjp(plain)

    def fwd(x, forget, reset, bias, first):
        def step(c, now):
            f = jax.nn.sigmoid(now[1] + bias)
            new = f * c + (1 - f) * now[0]
            return new, (c, new)

        _, (old, new) = lax.scan(step, first, (x, forget))
        f, r = jax.nn.sigmoid(forget + bias), jax.nn.sigmoid(reset)
        return (r * jnp.tanh(new) + (1 - r) * x, new[-1]), (x, f, r, old, new)

    def bwd(res, cotangents):
        dy, dlast = cotangents
        x, f, r, old, new = res
        if slip == "forget gate at the cell before":
            old = new
        tanh = jnp.tanh(new)
        through = dy * r * (1 - tanh**2)

        def back(dc, now):
            through, f = now
            dc = dc + through
            return dc * f, dc

        dfirst, dc = lax.scan(back, dlast, (through, f), reverse=True)
        dforget = dc * (old - x) * f * (1 - f)
        dx = dc * (1 - f)
        if slip != "highway's other part":
            dx = dx + dy * (1 - r)
        dreset = dy * (tanh - x) * r * (1 - r)
        rows = dforget[:, :1] if slip == "bias over the batch" else dforget
        return dx, dforget, dreset, rows.sum((0, 1)), dfirst

    sru.defvjp(fwd, bwd)
    return sru, plain
