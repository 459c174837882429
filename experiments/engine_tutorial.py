# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From one derivative to a whole network
#
# Backpropagation is the chain rule, applied from the end of a computation to its
# beginning. This notebook starts at the slope of one expression, goes through
# micrograd's scalars to tensors, writes a rule by hand, and ends with all gradients of
# the lecture's network. The engine is `jaxninja.engine`; nothing in it calls
# `jax.grad`, which we keep as the judge.
#
# ## 1. One derivative

# %%
import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import primitives

from jaxninja.engine import PRIMITIVES, backward, trace, value_and_grad
from jaxninja.models import atomic, ninja
from jaxninja.rules import autodiff, manual


def f(x):
    return 3 * x**2 - 4 * x + 5


# %% [markdown]
# How much does `f` rise when `x` moves by a little? At `x = 3` the answer is
# `6 x - 4 = 14`; a difference comes close, until the two numbers that it subtracts
# agree in too many digits.

# %%
for h in (1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15):
    print(f"h = {h:.0e}   slope {(f(3.0 + h) - f(3.0)) / h:.10f}")

# %% [markdown]
# The engine does not move `x` at all. It writes down each operation and its value, and
# then asks of each operation, from the last to the first: how much does the result
# change when this operand does?

# %%
graph = trace(f, 3.0)
grads = backward(graph)
print(graph.to_text(grads))

# %% [markdown]
# Read the last column from the bottom up. The result moves as itself: 1. A sum hands
# its gradient on to both operands, a product to each operand times the other one, and
# `x` is used twice, so its two terms add up: 18 - 4 = 14.
#
# ## 2. micrograd: a graph of scalars
#
# The lecture's expression `L = (a b + c) f`. `checkpoint_name` gives a value a name. In
# a notebook, a graph draws itself, with a gradient in each box.


# %%
def expression(a, b, c, f):
    e = checkpoint_name(a * b, "e")
    d = checkpoint_name(e + c, "d")
    return checkpoint_name(d * f, "L")


graph = trace(expression, 2.0, -3.0, 10.0, -2.0)
graph

# %% [markdown]
# Moving every input a little along its gradient makes `L` rise, from -8 to -7.286496:

# %%
grads = backward(graph)
inputs = (2.0, -3.0, 10.0, -2.0)
print(expression(*(x + 0.01 * g for x, g in zip(inputs, grads.arguments, strict=True))))


# %% [markdown]
# A value that is used twice gets two terms. That is why the walk goes through the
# operations in the reverse order of computation, and only adds: when it comes to `b`,
# every use of `b` has been there before. The answer is 4, not 2.


# %%
def diamond(a):
    b = checkpoint_name(a + a, "b")
    return b + b


grads = backward(trace(diamond, 1.0))
print(grads["a"], grads["b"])


# %% [markdown]
# ## 3. Tensors
#
# Nothing changes. An operation on arrays still has one rule: given the gradient of its
# result, of the same shape as the result, return one for each operand. The new part is
# shapes. Copying an array along an axis (broadcasting) turns into a sum on the way
# back, and a matrix product `z = x W` gives `dx = dz W^T` and `dW = x^T dz`: the only
# arrangement whose shapes fit.


# %%
def layer(x, W, b):
    h = checkpoint_name(x @ W + b, "h")
    return (jnp.tanh(h) ** 2).mean()


rng = np.random.default_rng(0)
x, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
graph = trace(layer, x, W, b)
graph

# %%
grads = backward(graph)
dh = grads["h"]
print("dW is x^T dh:", np.allclose(grads["W"], x.T @ dh, atol=1e-6))
print("db is the sum of dh over the batch:", np.allclose(grads["b"], dh.sum(0)))
print("dx is dh W^T:", np.allclose(grads["x"], dh @ W.T, atol=1e-6))

# %% [markdown]
# The rules are plain functions in `jaxninja/engine/`, some lines each with the maths
# beside them. This is the one of tanh: `y` is the result, `dy` its gradient.

# %%
print(inspect.getsource(PRIMITIVES[primitives.tanh_p]))


# %% [markdown]
# ## 4. A rule of your own
#
# The table is a value, so another table is one expression. Here is tanh with its
# derivative estimated as 1 between -1 and 1 and as 0.1 outside, a straight-through
# trick that lets saturated units learn. A rule whose shapes are wrong is refused.


# %%
def straight(dy, y, x, **_):
    return (jnp.where(abs(x) <= 1, dy, 0.1 * dy),)


rules = {**PRIMITIVES, primitives.tanh_p: straight}
value, dx = value_and_grad(lambda x: jnp.tanh(x).sum(), rules=rules)(
    jnp.arange(-2.0, 3.0)
)
print(dx)


# %%
def too_short(dy, y, x, **_):
    return (dy.sum(),)


try:
    rules = {**PRIMITIVES, primitives.tanh_p: too_short}
    value_and_grad(lambda x: jnp.tanh(x).sum(), rules=rules)(jnp.ones(3))
except TypeError as error:
    print(str(error).partition(") ")[2].lstrip())

# %% [markdown]
# The same idea one level up is a *layer* with its own forward and backward pass, which
# is what `jax.custom_vjp` is for and what `jaxninja.rules` collects. The engine uses
# such a rule as it is. Batchnorm is then one node, not a dozen:


# %%
def normalised(x, gain, bias):
    return (manual.batchnorm(x, gain, bias) ** 3).mean()


trace(normalised, x, np.array([1.0, 2.0, 0.5]), np.zeros(3))

# %% [markdown]
# ## 5. The whole network
#
# The lecture's network, all 12,297 parameters of it, in one backward walk. First with
# the hand-derived layers, where the graph fits on half a page. (A graph is a pytree of
# arrays, so `jax.jit` can return one: that compiles all operations at once.)

# %%
model = ninja.Ninja()
params = jax.jit(ninja.init, static_argnums=1)(jax.random.key(0), model)
ids = jnp.asarray(rng.integers(0, 27, (32, 3)))
labels = jnp.asarray(rng.integers(0, 27, 32))


def loss(params, ids, labels, ops=manual):
    return ninja.loss(params, ids, labels, model, ops)[0]


jax.jit(partial(trace, loss))(params, ids, labels)

# %% [markdown]
# Then in the lecture's 20 steps of its first exercise, down to JAX's own primitives:
# `dhpreact`, `dbnvar_inv`, `dcounts_sum` and all the others that it derives on paper.


# %%
def by_steps(params, ids, labels):
    return atomic.forward(params, ids, labels)["loss"]


jax.jit(partial(trace, by_steps))(params, ids, labels)

# %% [markdown]
# And the judge: `jax.grad` of the same function, in float64, where only rounding is
# left between the two. The gradient of b1 is zero in theory, since batchnorm takes any
# constant away; both have only rounding there.

# %%
with jax.enable_x64(True):
    wide = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)
    value, mine = jax.jit(value_and_grad(loss))(wide, ids, labels)
    truth = jax.jit(jax.grad(partial(loss, ops=autodiff)))(wide, ids, labels)
    for name in truth:
        error = float(abs(mine[name] - truth[name]).max() / abs(truth[name]).max())
        print(f"{name:7} {error:.0e}" if name != "b1" else "b1      (zero in theory)")

# %% [markdown]
# That is all there is to it: a list of operations, a rule for each, and a walk from
# the end to the beginning that adds up. `jaxninja/engine/core.py` is the walk;
# `jaxninja/models/by_hand/ninja.py` is the same backward pass written out by hand.
