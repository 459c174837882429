"""Rates and responses: kinetics, combustion, control and the earth."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def enzymes(rng):
    names = ("forward", "backward", "substrate", "product")
    logs = {name: normal(rng, 3, std=0.4) for name in names}
    return normal(rng, 6, 3, mean=0.8), normal(rng, 6, 3, mean=0.8), logs


@case(
    "reversible Michaelis-Menten rates (jaxkineticmodel, sbmltoodejax)",
    "reaction rates with a pytree of logarithms",
    enzymes,
    Twin(
        "saturation",
        "term|path|ratio",
        "substrate product logs",
        "The denominator is taken as a constant.",
    ),
    Twin(
        "negative amounts",
        "mask|region",
        "substrate product",
        "Amounts below 0, which count as 0, have a gradient.",
    ),
    Twin(
        "logarithm of the speed",
        "factor|function",
        "logs",
        "The forward speed's logarithm gets the gradient of the speed.",
    ),
)
def reversible_michaelis_menten(slip):
    def pieces(substrate, product, logs):
        s = jnp.where(substrate > 0, substrate, 0) * jnp.exp(-logs["substrate"])
        p = jnp.where(product > 0, product, 0) * jnp.exp(-logs["product"])
        return s, p, jnp.exp(logs["forward"]), jnp.exp(logs["backward"]), 1 + s + p

    @jax.custom_vjp
    def rate(substrate, product, logs):
        s, p, there, back, below = pieces(substrate, product, logs)
        return (there * s - back * p) / below

    def fwd(substrate, product, logs):
        return rate.fun(substrate, product, logs), (substrate, product, logs)

    def bwd(res, g):
        substrate, product, logs = res
        s, p, there, back, below = pieces(substrate, product, logs)
        g = g / below
        if slip == "saturation":
            ds, dp = g * there, -g * back
        else:
            # (there - rate) and (back + rate), without their cancellation
            ds = g * (there * (1 + p) + back * p) / below
            dp = -g * (back * (1 + s) + there * s) / below
        dsubstrate = ds * jnp.exp(-logs["substrate"])
        dproduct = dp * jnp.exp(-logs["product"])
        if slip != "negative amounts":
            dsubstrate = jnp.where(substrate > 0, dsubstrate, 0)
            dproduct = jnp.where(product > 0, dproduct, 0)
        speed = 1 if slip == "logarithm of the speed" else there
        each = {
            "forward": g * s * speed,
            "backward": -g * p * back,
            "substrate": -ds * s,
            "product": -dp * p,
        }
        dlogs = {k: v.reshape(-1, v.shape[-1]).sum(0) for k, v in each.items()}
        return dsubstrate, dproduct, dlogs

    rate.defvjp(fwd, bwd)
    return rate, rate.fun


def gases(rng):
    low, high = normal(rng, 3, mean=0.5), normal(rng, 3)
    return low, high, normal(rng, 4), normal(rng, 3)


@case(
    "Troe's fall-off in log space (reactorch, Arrhenius.jl) in jax ports",
    "reaction rates",
    gases,
    Twin(
        "width of the fall-off",
        "term|path",
        "centre",
        "The width's dependence on the centre is left out.",
    ),
    Twin(
        "high pressure",
        "term|path|sign",
        "high",
        "The high-pressure limit's place in the reduced pressure is left out.",
    ),
    Twin(
        "base of the logarithm",
        "factor|ratio",
        "centre",
        "The centre's logarithm is pulled back as if it were natural.",
    ),
    narrow=False,
)
def troe_falloff(slip):
    ten = 2.302585092994046

    def pieces(low, high, gas, centre):
        reduced = low + gas[:, None] - high
        depth = -jax.nn.softplus(-centre) / ten
        top = reduced - 0.4 - 0.67 * depth
        width = 0.75 - 1.27 * depth - 0.14 * top
        return reduced, depth, top, width

    @jax.custom_vjp
    def log_rate(low, high, gas, centre):
        reduced, depth, top, width = pieces(low, high, gas, centre)
        bell = width * width / (top * top + width * width)
        return high - jax.nn.softplus(-ten * reduced) / ten + depth * bell

    def fwd(low, high, gas, centre):
        return log_rate.fun(low, high, gas, centre), (low, high, gas, centre)

    def bwd(res, g):
        low, high, gas, centre = res
        reduced, depth, top, width = pieces(low, high, gas, centre)
        both = top * top + width * width
        part, rest = width / both, top / both
        dwidth = 2 * g * depth * rest * top * part
        dtop = -2 * g * depth * rest * width * part - 0.14 * dwidth
        dreduced = g * jax.nn.sigmoid(-ten * reduced) + dtop
        ddepth = g * width * part - 0.67 * dtop
        if slip != "width of the fall-off":
            ddepth = ddepth - 1.27 * dwidth
        dcentre = ddepth.sum(0) * jax.nn.sigmoid(-centre)
        if slip != "base of the logarithm":
            dcentre = dcentre / ten
        dhigh = g if slip == "high pressure" else g - dreduced
        return dreduced.sum(0), dhigh.sum(0), dreduced.sum(1), dcentre

    log_rate.defvjp(fwd, bwd)
    return log_rate, log_rate.fun


@case(
    "smooth dead zone of joysticks and actuators in brax and mjx controllers",
    "activation with learned parameters",
    lambda rng: (normal(rng, 6, 3), positive(rng, 3), jnp.float32(4.0)),
    Twin(
        "other side",
        "sign",
        "width",
        "Below the zone the width's gradient has the sign of that above.",
    ),
    Twin(
        "sharpness outside",
        "term|path",
        "sharpness",
        "The sharpness that is divided by is taken as a constant.",
    ),
    Twin(
        "batch averaged",
        "sum|factor|ratio",
        "width",
        "The width's gradient is the mean over the batch.",
    ),
)
def smooth_deadband(slip):
    def plain(x, width, sharpness):
        above = jax.nn.softplus(sharpness * (x - width))
        return (above - jax.nn.softplus(sharpness * (-x - width))) / sharpness

    zone = jax.custom_vjp(plain)

    def fwd(x, width, sharpness):
        return plain(x, width, sharpness), (x, width, sharpness)

    def bwd(res, g):
        x, width, sharpness = res
        above, below = sharpness * (x - width), sharpness * (-x - width)
        up, down = jax.nn.sigmoid(above), jax.nn.sigmoid(below)
        dwidth = g * (-up - down if slip == "other side" else down - up)
        dwidth = dwidth.reshape(-1, len(width))
        dwidth = dwidth.mean(0) if slip == "batch averaged" else dwidth.sum(0)

        def entropy(z):
            # softplus(z) - z * sigmoid(z), which is even in z
            z = jnp.abs(z)
            return z * jax.nn.sigmoid(-z) + jnp.log1p(jnp.exp(-z))

        if slip == "sharpness outside":
            each = above * up - below * down
        else:
            each = entropy(below) - entropy(above)
        dsharpness = (g * each).sum() / sharpness / sharpness
        return g * (up + down), dwidth, dsharpness

    zone.defvjp(fwd, bwd)
    return zone, plain


@case(
    "Ricker sources of wave solvers (deepwave, j-Wave)",
    "sum of wavelets",
    lambda rng: (
        jnp.linspace(0, 2, 9, dtype=jnp.float32),
        positive(rng, 3, low=0.5, high=1.5),
        positive(rng, 3),
        normal(rng, 3),
    ),
    Twin(
        "bracket",
        "term|path|function",
        "times frequency delay",
        "Only the exponential is differentiated, not the bracket before it.",
    ),
    Twin(
        "sign of the delay",
        "sign",
        "delay",
        "The delay's gradient has the sign of the time's.",
    ),
    Twin(
        "sources averaged",
        "sum|factor|ratio",
        "times",
        "The times' gradient is the mean over the sources.",
    ),
    narrow=False,
)
def ricker_wavelet(slip):
    def pieces(times, frequency, delay):
        late = times[:, None] - delay
        z = (jnp.pi * frequency * late) ** 2
        return late, z, jnp.exp(-z)

    @jax.custom_vjp
    def wave(times, frequency, delay, strength):
        _, z, decay = pieces(times, frequency, delay)
        return ((1 - 2 * z) * decay) @ strength

    def fwd(times, frequency, delay, strength):
        args = (times, frequency, delay, strength)
        return wave.fun(*args), args

    def bwd(args, g):
        times, frequency, delay, strength = args
        late, z, decay = pieces(times, frequency, delay)
        slope = (2 * z - 1) * decay if slip == "bracket" else (2 * z - 3) * decay
        dz = g[:, None] * strength * slope
        speed = 2 * jnp.pi**2 * dz * frequency * late
        dlate = speed * frequency
        back = dlate.sum(0)
        over = dlate.mean(1) if slip == "sources averaged" else dlate.sum(1)
        ddelay = back if slip == "sign of the delay" else -back
        dstrength = g @ ((1 - 2 * z) * decay)
        return over, (speed * late).sum(0), ddelay, dstrength

    wave.defvjp(fwd, bwd)
    return wave, wave.fun
