"""Likelihoods of volatility and survival, demand, and a distance of distances."""

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


def returns(rng):
    raw = {"omega": -1.0, "alpha": -1.5, "gamma": -1.0, "beta": 0.5}
    params = {k: jnp.asarray(v, jnp.float32) for k, v in raw.items()}
    return params, normal(rng, 12)


@case(
    "GJR-GARCH of the arch package, fitted in JAX",
    "volatility with an asymmetry",
    returns,
    Twin(
        "rises asymmetric",
        "mask|sign|region",
        "params returns",
        "The asymmetry is taken to act after gains, not after losses.",
    ),
    Twin(
        "first variance",
        "term|path",
        "returns",
        "The first variance is the mean square of the returns: that is left out.",
    ),
    Twin(
        "variance after",
        "index|residual|operand",
        "params",
        "The persistence is paired with the variance of the same step.",
    ),
    narrow=False,
)
def gjr_garch(slip):
    names = ("omega", "alpha", "gamma", "beta")

    def run(params, returns):
        omega = jax.nn.softplus(params["omega"]) + 1e-3
        alpha, gamma, beta = (0.4 * jax.nn.sigmoid(params[k]) for k in names[1:])
        lost = (returns < 0).astype(returns.dtype)
        shocks = omega + (alpha + gamma * lost) * returns**2

        def step(v, shock):
            return shock + beta * v, v

        start = (returns**2).mean() + 1e-3
        return lax.scan(step, start, shocks)[1], (omega, alpha, gamma, beta, lost)

    def plain(params, returns):
        v, _ = run(params, returns)
        return 0.5 * (jnp.log(v) + returns**2 / v).sum()

    nll = jax.custom_vjp(plain)

    def fwd(params, returns):
        return plain(params, returns), (params, returns)

    def bwd(res, g):
        params, returns = res
        v, (_, alpha, gamma, beta, lost) = run(params, returns)
        if slip == "rises asymmetric":
            lost = 1 - lost
        own = 0.5 * g * (1 - returns**2 / v) / v

        def back(later, own):
            return own + beta * later, later

        dstart, dshock = lax.scan(back, jnp.zeros_like(beta), own, reverse=True)
        square = returns**2
        before = jnp.roll(v, -1) if slip == "variance after" else v
        sums = (dshock, dshock * square, dshock * lost * square, dshock * before)
        dparams = {k: s.sum() for k, s in zip(names, sums, strict=True)}
        slopes = {k: jax.nn.sigmoid(params[k]) for k in names}
        for k in names:
            up = slopes[k] * (1 if k == "omega" else 0.4 * jax.nn.sigmoid(-params[k]))
            dparams[k] = dparams[k] * up
        dr = g * returns / v + 2 * dshock * (alpha + gamma * lost) * returns
        if slip != "first variance":
            dr = dr + 2 * dstart * returns / returns.size
        return dparams, dr

    nll.defvjp(fwd, bwd)
    return nll, plain


def patients(rng):
    times = positive(rng, 9, low=1, high=5)
    event = jnp.asarray(rng.uniform(size=9) < 0.7)
    return normal(rng, 3), normal(rng, 9, 3), times, event, integers(rng, 2, 9), 0.2


@case(
    "Cox regression with strata of lifelines in JAX",
    "survival likelihood",
    patients,
    Twin(
        "strata mixed",
        "mask",
        "beta x",
        "In the backward pass all that are at risk count, of whatever stratum.",
    ),
    Twin(
        "censored ones",
        "mask|factor",
        "beta x",
        "The risk sets of censored times are counted too.",
    ),
    Twin(
        "penalty",
        "factor|term|sign",
        "beta",
        "The penalty's gradient is subtracted.",
    ),
    fixed=(2,),
)
def stratified_cox(slip):
    def at_risk(times, strata):
        later = times[None] >= times[:, None]
        return later & (strata[None] == strata[:, None])

    def plain(beta, x, times, event, strata, ridge):
        score = x @ beta
        risk = jnp.where(at_risk(times, strata), score, -jnp.inf)
        short = jax.nn.logsumexp(risk, -1) - score
        return jnp.where(event, short, 0).sum() + ridge / 2 * (beta**2).sum()

    nll = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(beta, x, times, event, strata, ridge):
        value = plain(beta, x, times, event, strata, ridge)
        return value, (beta, x, times, event, strata)

    def bwd(ridge, res, g):
        beta, x, times, event, strata = res
        kept = jnp.zeros_like(strata) if slip == "strata mixed" else strata
        risk = jnp.where(at_risk(times, kept), x @ beta, -jnp.inf)
        share = jax.nn.softmax(risk, -1)
        if slip != "censored ones":
            share = jnp.where(event[:, None], share, 0)
        dscore = g * (share.sum(0) - event.astype(x.dtype))
        pull = -ridge if slip == "penalty" else ridge
        dbeta = x.T @ dscore + g * pull * beta
        return dbeta, dscore[:, None] * beta, jnp.zeros_like(times), None, None

    nll.defvjp(fwd, bwd)
    return nll, plain


def bins(rng):
    event = jnp.asarray([True, False, True, False, True, False])
    return normal(rng, 6, 4), integers(rng, 5, 6), event


@case(
    "multi-task logistic regression of survival in torchmtlr's JAX ports",
    "survival loss over intervals",
    bins,
    Twin(
        "censored as dead",
        "mask|function|term",
        "logits",
        "A censored time is pulled back as if the event had happened then.",
    ),
    Twin(
        "sums of the scores",
        "transpose|sum|index",
        "logits",
        "The scores were summed from the end, their cotangents are too.",
    ),
    Twin(
        "mean",
        "ratio|factor|sum",
        "logits",
        "The mean over the patients is pulled back as their sum.",
    ),
)
def mtlr_loss(slip):
    def later_sums(x):
        return jnp.flip(jnp.cumsum(jnp.flip(x, -1), -1), -1)

    def pieces(logits, interval, event):
        phi = jnp.pad(later_sums(logits), ((0, 0), (0, 1)))
        place = jnp.arange(phi.shape[-1])
        here = jnp.clip(interval, 0, logits.shape[-1])[:, None]
        possible = (place == here) | (~event[:, None] & (place > here))
        return phi, possible, place == here

    def plain(logits, interval, event):
        phi, possible, _ = pieces(logits, interval, event)
        inside = jax.nn.logsumexp(jnp.where(possible, phi, -jnp.inf), -1)
        return (jax.nn.logsumexp(phi, -1) - inside).mean()

    loss = jax.custom_vjp(plain)

    def fwd(logits, interval, event):
        return plain(logits, interval, event), (logits, interval, event)

    def bwd(res, g):
        phi, possible, here = pieces(*res)
        if slip == "censored as dead":
            possible = here
        wanted = jax.nn.softmax(jnp.where(possible, phi, -jnp.inf), -1)
        dphi = g * (jax.nn.softmax(phi, -1) - wanted)
        dphi = dphi if slip == "mean" else dphi / len(phi)
        run = later_sums if slip == "sums of the scores" else jnp.cumsum
        axis = () if slip == "sums of the scores" else (-1,)
        return run(dphi[:, :-1], *axis), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def households(rng):
    params = {
        "alpha": normal(rng, 3),
        "beta": normal(rng, 3),
        "gamma": normal(rng, 3, 3),
    }
    return params, normal(rng, 5, 3, std=0.4), normal(rng, 5, mean=1)


@case(
    "almost ideal demand system (Deaton and Muellbauer) in JAX econometrics",
    "shares of expenditure",
    households,
    Twin(
        "price index",
        "term|path",
        "params log_prices",
        "The price index that deflates the expenditure is held.",
    ),
    Twin(
        "symmetry",
        "transpose|term",
        "params",
        "The matrix was made symmetric, its gradient is not.",
    ),
    Twin(
        "quadratic form's half",
        "factor|ratio",
        "params",
        "The half of the price index's quadratic form is left out.",
    ),
)
def almost_ideal_demand(slip):
    def pieces(params, log_prices, log_spent):
        gamma = (params["gamma"] + params["gamma"].T) / 2
        cross = log_prices @ gamma
        index = log_prices @ params["alpha"] + (cross * log_prices).sum(-1) / 2
        return gamma, cross, log_spent - index

    def plain(params, log_prices, log_spent):
        _, cross, real = pieces(params, log_prices, log_spent)
        return params["alpha"] + cross + params["beta"] * real[:, None]

    shares = jax.custom_vjp(plain)

    def fwd(params, log_prices, log_spent):
        value = plain(params, log_prices, log_spent)
        return value, (params, log_prices, log_spent)

    def bwd(res, g):
        params, log_prices, _ = res
        gamma, cross, real = pieces(*res)
        dreal = g @ params["beta"]
        dindex = jnp.zeros_like(dreal) if slip == "price index" else -dreal
        dalpha = g.sum(0) + dindex @ log_prices
        half = 1.0 if slip == "quadratic form's half" else 0.5
        weighted = half * dindex[:, None] * log_prices
        dgamma = log_prices.T @ (g + weighted)
        if slip != "symmetry":
            dgamma = (dgamma + dgamma.T) / 2
        dprices = g @ gamma + dindex[:, None] * (params["alpha"] + cross)
        dparams = {"alpha": dalpha, "beta": real @ g, "gamma": dgamma}
        return dparams, dprices, dreal

    shares.defvjp(fwd, bwd)
    return shares, plain
