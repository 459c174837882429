"""Trees, neurons, epidemics."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)

TREE = ((0, 1), (2, 3), (4, 5))  # children of the nodes 4, 5 and 6, the root


def alignment(rng):
    tips = jax.nn.one_hot(integers(rng, 4, 4, 5), 4)
    return positive(rng, 6, low=0.05, high=0.5), tips, TREE


@case(
    "likelihoods of phylogenetic trees in JAX by pruning (phylojax)",
    "likelihood of a tree",
    alignment,
    Twin(
        "sibling",
        "factor|operand|term",
        "lengths tips",
        "A child's message is pulled back without that of its sibling.",
    ),
    Twin(
        "towards the mean",
        "term|path",
        "lengths",
        "Of the transition's slope only the part that keeps the base is there.",
    ),
    Twin(
        "rate",
        "ratio|factor|constant",
        "lengths",
        "The 4/3 of the substitution model's exponent is left out.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(1,),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def felsenstein_likelihood(slip):
    """Log-likelihood of each site under the model of Jukes and Cantor."""

    def across(t, below):
        kept = jnp.exp(-4 / 3 * t)
        return kept * below - jnp.expm1(-4 / 3 * t) * below.mean(-1, keepdims=True)

    def upwards(lengths, tips, tree):
        below, messages = list(tips), {}
        for pair in tree:
            for child in pair:
                messages[child] = across(lengths[child], below[child])
            below.append(messages[pair[0]] * messages[pair[1]])
        return below, messages

    def plain(lengths, tips, tree):
        return jnp.log(upwards(lengths, tips, tree)[0][-1].mean(-1))

    likelihood = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(lengths, tips, tree):
        below, messages = upwards(lengths, tips, tree)
        return jnp.log(below[-1].mean(-1)), (lengths, below, messages)

    def bwd(tree, res, g):
        lengths, below, messages = res
        root = below[-1]
        count = len(below) - len(tree)
        dbelow = {len(below) - 1: (g / root.sum(-1))[:, None] * jnp.ones_like(root)}
        dlengths = jnp.zeros_like(lengths)
        for number in reversed(range(len(tree))):
            pair = tree[number]
            above = dbelow[count + number]
            for child, sibling in (pair, pair[::-1]):
                dmessage = above if slip == "sibling" else above * messages[sibling]
                t, here = lengths[child], below[child]
                moved = here - here.mean(-1, keepdims=True)
                if slip == "towards the mean":
                    moved = here
                slope = -jnp.exp(-4 / 3 * t) * (1 if slip == "rate" else 4 / 3)
                dlengths = dlengths.at[child].set(slope * (dmessage * moved).sum())
                dbelow[child] = across(t, dmessage)
        return dlengths, jnp.stack([dbelow[i] for i in range(count)])

    likelihood.defvjp(fwd, bwd)
    return likelihood, plain


def membranes(rng):
    volts = -65 + 10 * normal(rng, 6)
    return volts, positive(rng, 6, low=0.2, high=0.6), jnp.float32(36.0), 0.1


def at_threshold(rng):
    volts, gate, conductance, dt = membranes(rng)
    return volts.at[2].set(-55), gate, conductance, dt


@case(
    "Hodgkin-Huxley channels in jaxley: exponential Euler steps of gates",
    "neuron",
    membranes,
    Twin(
        "time constant held",
        "term|path",
        "volts",
        "That the gate's time constant depends on the voltage is left out.",
    ),
    Twin(
        "threshold",
        "edge|function|zero|region",
        "volts",
        "The opening rate's slope is 0 / 0 at its removable singularity.",
        witness=at_threshold,
    ),
    Twin(
        "driving force",
        "term|path",
        "volts",
        "The current sees the voltage through the gate only.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0, 1.5),
)
def hodgkin_huxley_gates(slip):
    """The potassium gate after a step, and its current."""

    def opening(u):
        """u / (1 - exp(-u))."""
        small = jnp.abs(u) < 1e-3
        far = jnp.where(small, 1, u)
        return jnp.where(small, 1 + u / 2 + u * u / 12, far / -jnp.expm1(-far))

    def opening_slope(u):
        if slip == "threshold":
            e = jnp.expm1(-u)
            return (-e - u * (1 + e)) / e**2
        small = jnp.abs(u) < 0.5
        far, s = jnp.where(small, 1, u), u * u
        series = 0.5 + u / 6 * (1 - s / 30 + s * s / 840 - s**3 / 25200)
        exact = (1 - opening(far) * jnp.exp(-far)) / -jnp.expm1(-far)
        return jnp.where(small, series, exact)

    def rates(volts):
        return 0.1 * opening((volts + 55) / 10), 0.125 * jnp.exp(-(volts + 65) / 80)

    def plain(volts, gate, conductance, dt):
        opens, closes = rates(volts)
        rest = opens / (opens + closes)
        new = rest + (gate - rest) * jnp.exp(-dt * (opens + closes))
        return new, conductance * new**4 * (volts + 77)

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(volts, gate, conductance, dt):
        new, current = plain(volts, gate, conductance, dt)
        return (new, current), (volts, gate, conductance, new)

    def bwd(dt, res, g):
        volts, gate, conductance, new = res
        dnew, dcurrent = g
        drive = volts + 77
        dnew = dnew + dcurrent * 4 * conductance * new**3 * drive
        opens, closes = rates(volts)
        total = opens + closes
        rest, decay = opens / total, jnp.exp(-dt * total)
        drest = dnew * -jnp.expm1(-dt * total)
        dtotal = -dt * dnew * (gate - rest) * decay
        if slip == "time constant held":
            dtotal = jnp.zeros_like(dtotal)
        dopens = drest * closes / total**2 + dtotal
        dcloses = -drest * opens / total**2 + dtotal
        dvolts = (
            0.01 * dopens * opening_slope((volts + 55) / 10) - dcloses * closes / 80
        )
        if slip != "driving force":
            dvolts = dvolts + dcurrent * conductance * new**4
        return dvolts, dnew * decay, (dcurrent * new**4 * drive).sum()

    step.defvjp(fwd, bwd)
    return step, plain


def outbreak(rng):
    rates = {"contact": jnp.float32(0.4), "recovery": jnp.float32(0.1)}
    return rates, jnp.asarray([990.0, 10.0, 0.0]), 7


@case(
    "SIR models of epidemics in numpyro, stepped by the day",
    "time stepping",
    outbreak,
    Twin(
        "population held",
        "term|path",
        "start",
        "That infections are per head of the population is left out.",
    ),
    Twin(
        "recoveries",
        "term|path|factor",
        "rates start",
        "The adjoint of the infected does not see that they recover.",
    ),
    Twin(
        "state after the day",
        "residual|operand|index",
        "rates start",
        "Days are pulled back at the state that they end with.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
)
def sir_compartments(slip):
    """New infections of each day."""

    def day(rates, state):
        s, i, r = state
        new = rates["contact"] * s * i / (s + i + r)
        gone = rates["recovery"] * i
        return jnp.stack([s - new, i + new - gone, r + gone]), new

    def plain(rates, start, days):
        return lax.scan(lambda state, _: day(rates, state), start, None, days)[1]

    infections = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(rates, start, days):
        def one(state, _):
            after, new = day(rates, state)
            kept = after if slip == "state after the day" else state
            return after, (new, kept)

        new, states = lax.scan(one, start, None, days)[1]
        return new, (rates, states)

    def bwd(days, res, g):
        rates, states = res
        contact, recovery = rates["contact"], rates["recovery"]

        def back(carry, item):
            (ds, di, dr), dcontact, drecovery = carry
            (s, i, r), dnew = item
            heads = s + i + r
            dnew = dnew - ds + di
            dgone = dr - di
            dheads = -dnew * contact * s * i / heads**2
            if slip == "population held":
                dheads = jnp.zeros_like(dheads)
            dcontact = dcontact + dnew * s * i / heads
            drecovery = drecovery + dgone * i
            ds = ds + dnew * contact * i / heads + dheads
            di = di + dnew * contact * s / heads + dheads
            if slip != "recoveries":
                di = di + dgone * recovery
            return (jnp.stack([ds, di, dr + dheads]), dcontact, drecovery), None

        none = jnp.zeros_like(contact)
        carry = (jnp.zeros_like(states[0]), none, none)
        found, _ = lax.scan(back, carry, (states, g), reverse=True)
        return {"contact": found[1], "recovery": found[2]}, found[0]

    infections.defvjp(fwd, bwd)
    return infections, plain
