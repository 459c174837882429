"""Rates, populations and energies."""

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


def flame(low):
    def args(rng):
        kinetics = {
            "log_a": normal(rng, 3),
            "power": normal(rng, 3, std=0.5),
            "energy": positive(rng, 3, low=5, high=30),
        }
        return kinetics, positive(rng, 5, low=low, high=2 * low)

    return args


@case(
    "modified Arrhenius rates in arrhenius.jl and jax-based combustion codes",
    "reaction rates",
    flame(600),
    Twin(
        "power of temperature",
        "term|path",
        "temperature",
        "The power of the temperature before the exponential is forgotten.",
    ),
    Twin(
        "without temperature",
        "factor|ratio|operand",
        "kinetics",
        "The activation energy's gradient is divided by the gas constant alone.",
    ),
    Twin(
        "cold",
        "mask|region|predicate",
        "temperature",
        "The temperature is clamped to the range of the fit, its gradient is not.",
        witness=flame(150),
    ),
    fixed=(1,),
)
def arrhenius_rates(slip):
    gas, coldest, hottest = 8.314e-3, 250.0, 3500.0

    def rates(kinetics, temperature):
        t = jnp.clip(temperature, coldest, hottest)[:, None]
        slope = kinetics["power"] * jnp.log(t)
        return t, jnp.exp(kinetics["log_a"] + slope - kinetics["energy"] / (gas * t))

    @jax.custom_vjp
    def constants(kinetics, temperature):
        return rates(kinetics, temperature)[1]

    def fwd(kinetics, temperature):
        t, k = rates(kinetics, temperature)
        return k, (kinetics, temperature, t, k)

    def bwd(res, g):
        kinetics, temperature, t, k = res
        dlog = g * k
        dt = kinetics["energy"] / (gas * t)
        if slip != "power of temperature":
            dt = dt + kinetics["power"]
        dt = (dlog * dt / t).sum(1)
        if slip != "cold":
            inside = (temperature > coldest) & (temperature < hottest)
            dt = jnp.where(inside, dt, 0)
        heat = gas if slip == "without temperature" else gas * t
        grads = {
            "log_a": dlog.sum(0),
            "power": (dlog * jnp.log(t)).sum(0),
            "energy": -(dlog / heat).sum(0),
        }
        return grads, dt

    constants.defvjp(fwd, bwd)
    return constants, constants.fun


def outbreak(rng):
    people = {k: positive(rng, 3) for k in "seir"}
    rates = {k: positive(rng, low=0.1, high=0.6) for k in ("beta", "sigma", "gamma")}
    return people, positive(rng, 3, 3), rates, 0.3


@case(
    "age-structured SEIR models in numpyro examples and epidemics packages",
    "epidemics",
    outbreak,
    Twin(
        "size of the group",
        "term|path",
        "people",
        "The infectious share's denominator is taken as a constant.",
    ),
    Twin(
        "contacts transposed",
        "transpose|swap",
        "contact",
        "Who infects and who is infected are exchanged in the contacts' gradient.",
    ),
    Twin(
        "recovery of the infected",
        "term|path",
        "people",
        "The infected who leave their group in the step are forgotten.",
    ),
    narrow=False,
)
def seir_contact_step(slip):
    eps = 1e-3

    def force(people, contact):
        size = sum(people[k] for k in "seir") + eps
        share = people["i"] / size
        return size, share, contact @ share

    def plain(people, contact, rates, dt):
        s, e, i, r = (people[k] for k in "seir")
        new = dt * rates["beta"] * s * force(people, contact)[2]
        ill, well = dt * rates["sigma"] * e, dt * rates["gamma"] * i
        return {"s": s - new, "e": e + new - ill, "i": i + ill - well, "r": r + well}

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(people, contact, rates, dt):
        return plain(people, contact, rates, dt), (people, contact, rates)

    def bwd(dt, res, g):
        people, contact, rates = res
        size, share, met = force(people, contact)
        dnew, dill, dwell = g["e"] - g["s"], g["i"] - g["e"], g["r"] - g["i"]
        s, e, i = people["s"], people["e"], people["i"]
        dmet = dt * rates["beta"] * dnew * s
        pair = (share, dmet) if slip == "contacts transposed" else (dmet, share)
        dcontact = jnp.outer(*pair)
        dshare = contact.T @ dmet
        dsize = -dshare * share / size * (slip != "size of the group")
        di = g["i"] + dshare / size + dsize
        if slip != "recovery of the infected":
            di = di + dt * rates["gamma"] * dwell
        dpeople = {
            "s": g["s"] + dt * rates["beta"] * dnew * met + dsize,
            "e": g["e"] + dt * rates["sigma"] * dill + dsize,
            "i": di,
            "r": g["r"] + dsize,
        }
        drates = {
            "beta": dt * (dnew * s * met).sum(),
            "sigma": dt * (dill * e).sum(),
            "gamma": dt * (dwell * i).sum(),
        }
        return dpeople, dcontact, drates

    step.defvjp(fwd, bwd)
    return step, plain


def feeding(kind):
    def args(rng):
        prey = positive(rng, 6).at[2].set(-0.3)
        return prey, positive(rng, 3), positive(rng, 3, high=1.0), kind

    return args


@case(
    "functional responses of types I to III in population models",
    "ecology",
    feeding(3),
    Twin(
        "type ignored",
        "option|function|factor|ratio",
        "prey",
        "The square of type III is pulled back as if it were type II.",
    ),
    Twin(
        "saturation",
        "term|path|factor",
        "prey attack",
        "The numerator is differentiated, the denominator is not.",
    ),
    Twin(
        "negative prey",
        "mask|region|predicate",
        "prey",
        "Negative densities count as none, yet get a gradient.",
        witness=feeding(2),
    ),
)
def holling_response(slip):
    def encounters(prey, kind):
        n = jnp.maximum(prey, 0)[:, None]
        return n, n * n if kind == 3 else n

    def plain(prey, attack, handling, kind):
        met = attack * encounters(prey, kind)[1]
        return met if kind == 1 else met / (1 + handling * met)

    respond = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(prey, attack, handling, kind):
        return plain(prey, attack, handling, kind), (prey, attack, handling)

    def bwd(kind, res, g):
        prey, attack, handling = res
        n, seen = encounters(prey, kind)
        met = attack * seen
        busy = 1 if kind == 1 else 1 + handling * met
        dmet = g / busy if slip == "saturation" else g / busy**2
        dhandling = jnp.zeros_like(handling)
        if kind != 1:
            dhandling = -(g * (met / busy) ** 2).sum(0)
        dseen = dmet * attack
        if kind == 3 and slip != "type ignored":
            dseen = dseen * 2 * n
        dprey = dseen.sum(1)
        if slip != "negative prey":
            dprey = jnp.where(prey > 0, dprey, 0)
        return dprey, (dmet * seen).sum(0), dhandling

    respond.defvjp(fwd, bwd)
    return respond, plain


def leaves(rng):
    air = {"light": positive(rng, 5), "dryness": positive(rng, 5, high=3.0)}
    return air, positive(rng, 5), normal(rng, 3)


@case(
    "Medlyn stomatal conductance in jax land-surface models",
    "plants",
    leaves,
    Twin(
        "root of the dryness",
        "factor|ratio|function",
        "air",
        "The square root of the dryness is pulled back as the dryness itself.",
    ),
    Twin(
        "softplus",
        "function|factor|ratio",
        "params",
        "The slope is kept positive by a softplus, whose derivative is forgotten.",
    ),
    Twin(
        "saturating light",
        "term|path|factor",
        "air",
        "The light in the denominator is taken as a constant.",
    ),
)
def stomatal_conductance(slip):
    def pieces(air, params):
        light = jax.nn.relu(air["light"])
        half = jnp.exp(params[2])
        root = jnp.sqrt(jax.nn.relu(air["dryness"]) + 0.01)
        return light, half, light / (light + half), root, jax.nn.softplus(params[1])

    @jax.custom_vjp
    def conductance(air, demand, params):
        _, _, share, root, slope = pieces(air, params)
        return params[0] + 1.6 * (1 + slope / root) * demand * share

    def fwd(air, demand, params):
        return conductance.fun(air, demand, params), (air, demand, params)

    def bwd(res, g):
        air, demand, params = res
        light, half, share, root, slope = pieces(air, params)
        opening = 1.6 * (1 + slope / root)
        dshare = g * opening * demand
        rest = 1 - share if slip != "saturating light" else 1
        dlight = jnp.where(air["light"] > 0, dshare * rest / (light + half), 0)
        dopening = 1.6 * g * demand * share
        droot = -dopening * slope / root**2
        if slip != "root of the dryness":
            droot = 0.5 * droot / root
        turn = 1 if slip == "softplus" else jax.nn.sigmoid(params[1])
        dslope = (dopening / root).sum() * turn
        dhalf = -(dshare * share / (light + half)).sum() * half
        dair = {"light": dlight, "dryness": jnp.where(air["dryness"] > 0, droot, 0)}
        return dair, g * opening * share, jnp.stack([g.sum(), dslope, dhalf])

    conductance.defvjp(fwd, bwd)
    return conductance, conductance.fun
