"""Layers and losses of recommender models."""

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


def clicks_and_sales(rng):
    clicks = jnp.asarray(rng.random(8) < 0.5, jnp.float32)
    sales = clicks * jnp.asarray(rng.random(8) < 0.5, jnp.float32)
    return normal(rng, 8), normal(rng, 8), clicks, sales


@case(
    "entire-space losses of clicks and sales (ESMM) in JAX recommenders",
    "recommender",
    clicks_and_sales,
    Twin(
        "clicks within the sales",
        "term|path",
        "click",
        "The clicks' logits are not reached through the product of both rates.",
    ),
    Twin(
        "sales of what is clicked",
        "mask|region|predicate|function",
        "sale",
        "The sales' logits are pulled back on what was clicked only.",
    ),
    Twin(
        "product of the rates",
        "function|factor|ratio",
        "sale",
        "The sales' logits get the plain cross-entropy's gradient.",
    ),
    options=lambda plain: {"nondiff": ("clicked", "sold")},
    fixed=(2, 3),
)
def esmm_loss(slip):
    log_sigmoid = jax.nn.log_sigmoid

    def none_sold(click, sale):
        """log(1 - product of the rates)."""
        seen = log_sigmoid(click) + log_sigmoid(-sale)
        return jnp.logaddexp(log_sigmoid(-click), seen)

    @jax.custom_vjp
    def loss(click, sale, clicked, sold):
        yes, no = log_sigmoid(click), log_sigmoid(-click)
        first = -(clicked * yes + (1 - clicked) * no)
        both = yes + log_sigmoid(sale)
        second = -(sold * both + (1 - sold) * none_sold(click, sale))
        return (first + second).mean()

    def fwd(click, sale, clicked, sold):
        return loss.fun(click, sale, clicked, sold), (click, sale, clicked, sold)

    def bwd(res, g):
        click, sale, clicked, sold = res
        g = g / click.shape[0]
        both = log_sigmoid(click) + log_sigmoid(sale) - none_sold(click, sale)
        rest = (1 - sold) * jnp.exp(both + log_sigmoid(-click))
        dclick = jax.nn.sigmoid(click) - clicked
        if slip != "clicks within the sales":
            dclick = dclick + rest - sold * jax.nn.sigmoid(-click)
        rest = (1 - sold) * jnp.exp(both + log_sigmoid(-sale))
        dsale = rest - sold * jax.nn.sigmoid(-sale)
        if slip == "sales of what is clicked":
            dsale = dsale * clicked
        if slip == "product of the rates":
            dsale = jax.nn.sigmoid(sale) - sold
        zero = jnp.zeros_like(clicked)
        return g * dclick, g * dsale, zero, zero

    loss.defvjp(fwd, bwd)
    return loss, loss.fun
