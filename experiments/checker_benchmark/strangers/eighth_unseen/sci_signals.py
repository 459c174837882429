"""Levels, filters and oscillators."""

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


def spectrum(rng, top_db=30.0):
    x = normal(rng, 3, 5).at[0, :3].set(jnp.asarray([1e-3, -2e-3, 4e-2]))
    return x.at[1, 2].set(2.5), 1e-2, top_db


@case(
    "amplitude_to_db of librosa and torchaudio",
    "levels in decibels",
    spectrum,
    Twin(
        "peak",
        "term|path|sum",
        "x",
        "The floor hangs on the peak, which gets no gradient from it.",
    ),
    Twin(
        "below the least",
        "mask|region|predicate",
        "x",
        "Amplitudes below the least one are clamped, yet get a gradient.",
        witness=lambda rng: spectrum(rng, None),
    ),
    Twin(
        "negative samples",
        "sign",
        "x",
        "The derivative of the absolute value is left out.",
    ),
)
def amplitude_to_db(slip):
    decibel = 8.685889638065035

    def level(x, amin):
        return decibel * jnp.log(jnp.maximum(jnp.abs(x), amin))

    def plain(x, amin, top_db):
        db = level(x, amin)
        return db if top_db is None else jnp.maximum(db, db.max() - top_db)

    to_db = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, amin, top_db):
        return plain(x, amin, top_db), x

    def bwd(amin, top_db, x, g):
        db = level(x, amin)
        if top_db is not None:
            low = db < db.max() - top_db
            peak = db == db.max()
            lost = jnp.where(low, g, 0).sum() / peak.sum()
            g = jnp.where(low, 0, g)
            if slip != "peak":
                g = g + jnp.where(peak, lost, 0)
        size = jnp.maximum(jnp.abs(x), amin)
        dx = decibel * g / size
        if slip != "negative samples":
            dx = dx * jnp.sign(x)
        if slip != "below the least":
            dx = jnp.where(jnp.abs(x) > amin, dx, 0)
        return (dx,)

    to_db.defvjp(fwd, bwd)
    return to_db, plain


def offset_sound(rng):
    return normal(rng, 2, 7, mean=0.5), jnp.float32(0.9)


@case(
    "DC blocking filters in DDSP and dasp ports",
    "recursive filter",
    offset_sound,
    Twin(
        "own output",
        "index|shift|residual",
        "pole",
        "The pole's gradient meets the output of the same time, not of the last.",
    ),
    Twin(
        "later difference",
        "term|path",
        "x",
        "A sample is subtracted from the next one; that part is forgotten.",
    ),
    Twin(
        "forward in time",
        "transpose|direction|order",
        "x pole",
        "The recurrence of the gradients runs forward in time.",
    ),
    fixed=(1,),
    narrow=False,
)
def dc_blocker(slip):
    def recur(steps, pole, reverse=False):
        def step(y, u):
            y = u + pole * y
            return y, y

        start = jnp.zeros_like(steps[:, 0])
        return lax.scan(step, start, steps.T, reverse=reverse)[1].T

    @jax.custom_vjp
    def block(x, pole):
        return recur(jnp.diff(x, axis=1, prepend=0), pole)

    def fwd(x, pole):
        y = block.fun(x, pole)
        return y, (pole, y)

    def bwd(res, g):
        pole, y = res
        a = recur(g, pole, reverse=slip != "forward in time")
        dx = a
        if slip != "later difference":
            dx = a - jnp.pad(a[:, 1:], ((0, 0), (0, 1)))
        before = jnp.pad(y[:, :-1], ((0, 0), (1, 0)))
        if slip == "own output":
            before = y
        return dx, (a * before).sum()

    block.defvjp(fwd, bwd)
    return block, block.fun


def echo(rng):
    x, d, w = draw(x=(8,), d=(8,), w=(3,))(rng)
    return x, d, w, jnp.float32(0.5)


@case(
    "normalised LMS filters in padasip, differentiated in echo cancellers",
    "recurrence",
    echo,
    Twin(
        "weights after",
        "residual|index|shift",
        "x",
        "The weights are saved after the update, the error used those before.",
    ),
    Twin(
        "power of the window",
        "term|path",
        "x",
        "The window's power, by which the step is divided, is taken as a constant.",
    ),
    Twin(
        "error of the step",
        "term|path|sum",
        "x d w rate",
        "The error's gradient lacks the part through the weights.",
    ),
    narrow=False,
)
def lms_adaptive_filter(slip):
    eps = 0.1

    def windows(x, taps):
        i = jnp.arange(len(x))[:, None] + jnp.arange(taps)[None]
        return i, jnp.pad(x, (taps - 1, 0))[i]

    def run(x, d, w, rate):
        def step(w, now):
            u, wanted = now
            e = wanted - w @ u
            new = w + rate * e * u / (eps + u @ u)
            kept = new if slip == "weights after" else w
            return new, (e, kept)

        u = windows(x, len(w))[1]
        last, (errors, before) = lax.scan(step, w, (u, d))
        return (errors, last), (u, before, errors, rate)

    @jax.custom_vjp
    def adapt(x, d, w, rate):
        return run(x, d, w, rate)[0]

    def fwd(x, d, w, rate):
        return run(x, d, w, rate)

    def bwd(res, g):
        u, before, errors, rate = res

        def step(carry, now):
            dw, drate = carry
            e, u, w, de = now
            power = eps + u @ u
            along = dw @ u
            ds = e * along
            if slip != "error of the step":
                de = de + rate * along / power
            du = rate * e * dw / power - de * w
            if slip != "power of the window":
                du = du - 2 * ds * rate / power**2 * u
            return (dw - de * u, drate + ds / power), (du, de)

        start = (g[1], jnp.zeros_like(rate))
        (dw, drate), (du, dd) = lax.scan(
            step, start, (errors, u, before, g[0]), reverse=True
        )
        taps = u.shape[1]
        place = windows(dd, taps)[0]
        dx = jnp.zeros(len(dd) + taps - 1, du.dtype).at[place].add(du)
        return dx[taps - 1 :], dd, dw, drate

    adapt.defvjp(fwd, bwd)
    return adapt, adapt.fun


def tone(rng):
    return (
        positive(rng, 9, low=50, high=900),
        positive(rng, 9),
        jnp.float32(0.8),
        8000.0,
    )


@case(
    "two-operator FM oscillators in DDX7 and torchsynth",
    "synthesis",
    tone,
    Twin(
        "sum not reversed",
        "transpose|order|direction",
        "frequency",
        "The phase's running sum is pulled back as a running sum from the start.",
    ),
    Twin(
        "modulator's phase",
        "term|path",
        "frequency",
        "The frequency's path through the modulator is forgotten.",
    ),
    Twin(
        "modulator's derivative",
        "function|operand|swap",
        "index",
        "The index's gradient meets the cosine of the modulator, not the sine.",
    ),
    narrow=False,
)
def fm_oscillator(slip):
    ratio = 2.0

    def phase_of(frequency, rate):
        return 2 * jnp.pi * jnp.cumsum(frequency) / rate

    def plain(frequency, amplitude, index, rate):
        phase = phase_of(frequency, rate)
        return amplitude * jnp.sin(phase + index * jnp.sin(ratio * phase))

    oscillator = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(frequency, amplitude, index, rate):
        return plain(frequency, amplitude, index, rate), (frequency, amplitude, index)

    def bwd(rate, res, g):
        frequency, amplitude, index = res
        phase = phase_of(frequency, rate)
        modulator, slope = jnp.sin(ratio * phase), jnp.cos(ratio * phase)
        inner = phase + index * modulator
        dinner = g * amplitude * jnp.cos(inner)
        dphase = dinner
        if slip != "modulator's phase":
            dphase = dinner * (1 + index * ratio * slope)
        if slip == "modulator's derivative":
            modulator = slope
        turned = slip != "sum not reversed"
        dfrequency = lax.cumsum(dphase, reverse=turned) * 2 * jnp.pi / rate
        return dfrequency, g * jnp.sin(inner), (dinner * modulator).sum()

    oscillator.defvjp(fwd, bwd)
    return oscillator, plain
