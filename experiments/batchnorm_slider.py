# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What batchnorm does to a batch when one example moves
#
# A batch of one feature. One of its examples, x0, is moved from far left to far right;
# the others stay. Batchnorm normalises all of them together, so **all** outputs move,
# although only one input did: that is the coupling which its backward pass has to undo
# (the paths through the mean and through the variance in
# [`rules/normalisation/batchnorm.py`](../jaxninja/rules/normalisation/batchnorm.py)).

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxninja import manual

GAMMA, BETA = jnp.ones(1), jnp.zeros(1)
others = 3 * jax.random.normal(jax.random.key(4), (29, 1)) + 2


def forward(x0, ddof=1):
    """The batch with x0 as its first example, and what batchnorm makes of it."""
    x = jnp.concatenate([jnp.full((1, 1), float(x0)), others])
    return np.ravel(x), np.ravel(manual.batchnorm(x, GAMMA, BETA, 1e-5, ddof))


# %%
def draw(axes, x0):
    """Inputs below, outputs above; a line joins each with its own."""
    x, y = forward(x0)
    for a, b in zip(x[1:], y[1:], strict=True):
        axes.plot([a, b], [0, 1], color="gray", lw=0.7)
    axes.plot([x[0], y[0]], [0, 1], color="#d55e00", lw=2, ls="--")
    axes.plot(x[1:], 0 * x[1:], "k|", ms=9)
    axes.plot(y[1:], 0 * y[1:] + 1, "k|", ms=9)
    axes.plot([x[0], y[0]], [0, 1], "o", color="#d55e00")
    axes.set_xlim(-32, 32)
    axes.set_yticks([0, 1], ["x", "y"])
    axes.set_title(f"x0 = {x0:g}: mean {x.mean():.1f}, std {x.std(ddof=1):.1f}", size=9)


figure, rows = plt.subplots(5, 1, figsize=(6, 8), sharex=True, layout="constrained")
for axes, x0 in zip(rows, (-30, -10, 2, 10, 30), strict=True):
    draw(axes, x0)
plt.show()

# %% [markdown]
# An outlier takes all of the variance to itself: the others are squeezed together, and
# the farther out it is, the nearer it lands to (n - 1) / sqrt(n): a limit that no
# output of a batch passes. The outputs have mean 0 and variance 1 at every position of
# the slider:

# %%
for x0 in (-30, -10, 2, 10, 30, 1e6):
    _, y = forward(x0)
    print(f"x0 {x0:>9g}: mean {y.mean():+.6f}, var {y.var(ddof=1):.6f}, y0 {y[0]:+.4f}")
print(f"(n - 1) / sqrt(n) = {29 / 30**0.5:.4f}")

# %% [markdown]
# The slope of each output with respect to x0, by the backward pass: the example itself,
# and the others, which it pushes aside. The slopes sum to zero, since the mean does not
# move; far out they all go to zero, since scale no longer matters.


# %%
def slopes(x0):
    x = jnp.concatenate([jnp.full((1, 1), float(x0)), others])
    _, pull = jax.vjp(lambda x: manual.batchnorm(x, GAMMA, BETA, 1e-5, 1), x)
    one_hot = jnp.eye(len(x))[:, :, None]  # a cotangent for each output
    return np.array([pull(dy)[0][0, 0] for dy in one_hot])


for x0 in (-30, 2, 30):
    s = slopes(x0)
    print(f"x0 {x0:>4}: own {s[0]:+.4f}, others {s[1:].min():+.4f} to "
          f"{s[1:].max():+.4f}, sum {s.sum():+.1e}")  # fmt: skip

# %% [markdown]
# With `ipywidgets` installed, the lecture's slider itself:

# %%
try:
    from ipywidgets import interact
except ImportError:
    print("no ipywidgets here: `pip install ipywidgets` for the slider")
else:

    @interact(x0=(-30.0, 30.0, 0.5))
    def slide(x0=0.0):
        draw(plt.subplots(figsize=(6, 2))[1], x0)
