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
# # From a bigram to a transformer, backwards
#
# makemore is a family: a table of bigrams, an MLP, a bag of words, an RNN, a GRU, an
# LSTM, a transformer. Forwards each is another idea. Backwards they share most of their
# lines, and here each model's backward pass is built from the one before: what is new
# in it is a few lines. All is in NumPy, so that nothing can differentiate for us;
# `jax.grad` of the same model is the judge, in float64.
#
# The finished passes are pages of the library: `jaxninja show transformer`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxninja.models import network
from jaxninja.models.parts.sequences import IGNORED
from jaxninja.rules import autodiff

NAMES = ["anna", "io", "maya"]
LETTERS = ".aimnoy"
V, T, E, H = len(LETTERS), 5, 4, 6

ids = np.zeros((len(NAMES), T), int)
labels = np.full((len(NAMES), T), IGNORED)
for row, name in enumerate(NAMES):
    symbols = [LETTERS.index(letter) for letter in name]
    ids[row, 1 : len(name) + 1] = symbols
    labels[row, : len(name) + 1] = [*symbols, 0]
print(ids)
print(labels)


# %% [markdown]
# A row begins with 0 and is filled up with 0; its labels are the symbol that follows, 0
# at the end, and -1 where nothing is asked. The judge draws parameters of a model (no
# zeros and ones, which would hide mistakes), and holds our gradients against those of
# `jax.grad`, relative to the largest entry.


# %%
def parameters(model):
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    return {k: 0.5 * draw.normal(size=p.shape) for k, p in shapes.items()}


def judge(model, backward):
    def loss(p):
        batch = jnp.array(ids), jnp.array(labels)
        return network.of(model).loss(p, *batch, model, autodiff)[0]

    params = parameters(model)
    mine = backward(params)
    with jax.enable_x64(True):
        wide = {k: jnp.array(p) for k, p in params.items()}
        truth = jax.device_get(jax.jit(jax.grad(loss))(wide))
    assert mine.keys() == truth.keys(), mine.keys() ^ truth.keys()
    for k in truth:
        error = abs(mine[k] - truth[k]).max() / abs(truth[k]).max()
        print(f"d{k:10s} {error:.1e}", "True" if error < 1e-12 else "False")


# %% [markdown]
# ## 1. Bigram: the head of every model
#
# A row of the table for each symbol, and cross entropy. Per place the loss is
# $\log \sum_v e^{z_v} - z_{label}$, so `dlogits` is $p$ minus one at the label: what is
# too likely is pushed down, and the label pulled up. Where there is no label there is
# no gradient, and the mean is over the places that have one.
#
# The table's row `v` was read wherever `v` stands, and receives from all these places.


# %%
def head(logits):
    """dlogits of the mean cross entropy."""
    counted = labels >= 0
    e = np.exp(logits - logits.max(-1, keepdims=True))
    dlogits = e / e.sum(-1, keepdims=True)
    dlogits[counted, labels[counted]] -= 1
    dlogits[~counted] = 0
    return dlogits / counted.sum()


def table(C, demb, ids=ids):
    """dC of emb = C[ids]."""
    dC = np.zeros_like(C)
    np.add.at(dC, ids, demb)  # a row read twice receives two terms
    return dC


def bigram(p):
    dlogits = head(p["W"][ids])
    return {"W": table(p["W"], dlogits)}


judge(network.MODELS["bigram"](V, T), bigram)

# %% [markdown]
# ## 2. MLP: two linear layers and a tanh
#
# New: `y = x W + b` sends `dx = dy W.T`, `dW = x.T dy` and `db = sum dy`, with rows of
# all places side by side; and `tanh' = 1 - tanh^2` is read off its output.


# %%
def linear(x, W, dy):
    """dx, dW and db of x W + b."""
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ W.T, rows.T @ drows, drows.sum(0)


K = 3  # symbols that the MLP looks back at; a blank, row V, is before the beginning
windows = np.stack([np.full_like(ids, V)] * K, -1)
for back in range(K):
    windows[:, back:, back] = ids[:, : T - back]


def mlp(p):
    x = p["C"][windows].reshape(*ids.shape, -1)
    h = np.tanh(x @ p["W1"] + p["b1"])
    dlogits = head(h @ p["W2"] + p["b2"])

    dh, dW2, db2 = linear(h, p["W2"], dlogits)
    dx, dW1, db1 = linear(x, p["W1"], (1 - h**2) * dh)
    dC = table(p["C"], dx.reshape(*windows.shape, -1), windows)
    return {"C": dC, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


judge(network.MODELS["mlp"](V, K, E, H), mlp)

# %% [markdown]
# ## 3. Bag of words: a mean of the past, and a stream
#
# New: each place takes the mean of all places up to it. That is a product with a
# triangular matrix of shares, so its transpose brings the gradient back: each place
# receives from all *later* ones. And `x + f(x)` is read twice, so the gradient comes by
# both ways and is added.

# %%
share = np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]


def bow(p):
    x0 = p["C"][ids] + p["P"]
    x1 = x0 + share @ x0
    h = np.tanh(x1 @ p["W1"] + p["b1"])
    x2 = x1 + h @ p["W2"] + p["b2"]
    dlogits = head(x2 @ p["W"] + p["bout"])

    dx2, dW, dbout = linear(x2, p["W"], dlogits)
    dh, dW2, db2 = linear(h, p["W2"], dx2)
    dx, dW1, db1 = linear(x1, p["W1"], (1 - h**2) * dh)
    dx1 = dx2 + dx
    dx0 = dx1 + share.T @ dx1
    grads = {"C": table(p["C"], dx0), "P": dx0.sum(0), "W1": dW1, "b1": db1}
    return grads | {"W2": dW2, "b2": db2, "W": dW, "bout": dbout}


judge(network.MODELS["bow"](V, T, E, H), bow)

# %% [markdown]
# ## 4. RNN: back through time
#
# New: the same layer at every place, on a state. `h[t]` is read by its logits and by
# `h[t+1]`, so we walk from the last place to the first and carry what the later ones
# send. The weights served at all places: their gradients are sums over the walk.


# %%
def rnn(p):
    x = p["C"][ids]
    h = [np.repeat(p["start"], len(ids), 0)]
    for t in range(T):
        h.append(np.tanh(x[:, t] @ p["Wx"] + h[t] @ p["Wh"] + p["b"]))
    states = np.stack(h[1:], 1)
    dlogits = head(states @ p["W"] + p["bout"])

    dstates, dW, dbout = linear(states, p["W"], dlogits)
    g = {k: np.zeros_like(p[k]) for k in ("Wx", "Wh", "b")}
    dx, dh = np.zeros_like(x), 0.0
    for t in reversed(range(T)):
        dpre = (1 - h[t + 1] ** 2) * (dstates[:, t] + dh)
        dx[:, t], dWx, db = linear(x[:, t], p["Wx"], dpre)
        dh, dWh, _ = linear(h[t], p["Wh"], dpre)
        g = {k: g[k] + d for k, d in (("Wx", dWx), ("Wh", dWh), ("b", db))}
    g |= {"C": table(p["C"], dx), "start": dh.sum(0, keepdims=True)}
    return g | {"W": dW, "bout": dbout}


judge(network.MODELS["rnn"](V, T, E, H), rnn)

# %% [markdown]
# ## 5. GRU: gates are factors
#
# New: a step reads `h[t]` three times, and a gate is a factor. A factor's gradient is
# what stands beside it. The walk is the RNN's; only the step changes.


# %%
def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru(p):
    x = p["C"][ids]
    h, kept = [np.repeat(p["start"], len(ids), 0)], []
    for t in range(T):
        pre = x[:, t] @ p["Wx"] + p["b"]
        z, r = np.split(sigmoid(pre[:, : 2 * H] + h[t] @ p["Wg"]), 2, 1)
        c = np.tanh(pre[:, 2 * H :] + (r * h[t]) @ p["Wc"])
        h.append((1 - z) * h[t] + z * c)
        kept.append((z, r, c))
    states = np.stack(h[1:], 1)
    dlogits = head(states @ p["W"] + p["bout"])

    dstates, dW, dbout = linear(states, p["W"], dlogits)
    g = {k: np.zeros_like(p[k]) for k in ("Wx", "Wg", "Wc", "b")}
    dx, dh = np.zeros_like(x), 0.0
    for t in reversed(range(T)):
        (z, r, c), dh = kept[t], dstates[:, t] + dh
        dpre_c = (1 - c**2) * z * dh  # c stands beside z
        dreset, dWc, _ = linear(r * h[t], p["Wc"], dpre_c)
        dpre_z = z * (1 - z) * (c - h[t]) * dh  # z beside c, and 1 - z beside h
        dpre_r = r * (1 - r) * h[t] * dreset
        dpre_g = np.concatenate([dpre_z, dpre_r], 1)
        dx[:, t], dWx, db = linear(x[:, t], p["Wx"], np.hstack([dpre_g, dpre_c]))
        by_gates, dWg, _ = linear(h[t], p["Wg"], dpre_g)
        dh = (1 - z) * dh + r * dreset + by_gates
        pairs = (("Wx", dWx), ("Wg", dWg), ("Wc", dWc), ("b", db))
        g = {k: g[k] + d for k, d in pairs}
    g |= {"C": table(p["C"], dx), "start": dh.sum(0, keepdims=True)}
    return g | {"W": dW, "bout": dbout}


judge(network.MODELS["gru"](V, T, E, H), gru)

# %% [markdown]
# An LSTM is one more step of this kind, with a second state that gates protect:
# `jaxninja show lstm`.
#
# ## 6. Transformer: a bag of words that chooses its shares
#
# New: the shares. Place `t` asks with `q[t]`, place `s` answers with `k[s]`, and the
# shares are a softmax of their products. With `y = P v`:
#
#     dv = P.T dy        dP = dy v.T        dS = P (dP - row sums of P dP)
#     dq = dS k          dk = dS.T q
#
# A row of P sums to 1, so only what of dP differs from its mean under P can matter:
# that is dS, and its rows sum to 0. Layernorm is the other new layer; what is alike for
# all of a row, and what runs along the row itself, it takes away:
#
#     dx = (dxhat - mean(dxhat) - xhat mean(xhat dxhat)) / deviation


# %%
def normalised(x, eps=1e-5):
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return (x - x.mean(-1, keepdims=True)) * rstd, rstd


def layernorm(xhat, rstd, gamma, dy):
    """dx, dgamma and dbeta."""
    dxhat = gamma * dy
    mean, along = (a.mean(-1, keepdims=True) for a in (dxhat, xhat * dxhat))
    return rstd * (dxhat - mean - xhat * along), (dy * xhat).sum((0, 1)), dy.sum((0, 1))


seen = np.tril(np.ones((T, T), bool))
HEADS, WIDTH = 2, 4
pictures = {}


def heads(a):
    return a.reshape(len(a), T, HEADS, -1).swapaxes(1, 2)


def beside(a):
    return a.swapaxes(1, 2).reshape(len(a), T, -1)


def attention(qkv, dy=None):
    """y; or with dy, what comes back to qkv."""
    q, k, v = (heads(a) for a in np.split(qkv, 3, -1))
    scale = q.shape[-1] ** -0.5
    S = np.where(seen, scale * (q @ k.swapaxes(-1, -2)), -np.inf)
    P = np.exp(S - S.max(-1, keepdims=True))
    P /= P.sum(-1, keepdims=True)
    if dy is None:
        return beside(P @ v)
    dy = heads(dy)
    dv, dP = P.swapaxes(-1, -2) @ dy, dy @ v.swapaxes(-1, -2)
    dS = P * (dP - (P * dP).sum(-1, keepdims=True))
    dq, dk = scale * (dS @ k), scale * (dS.swapaxes(-1, -2) @ q)
    pictures.update(P=P[0], dP=np.where(seen, dP[0], 0), dS=dS[0])  # of the first name
    return np.concatenate([beside(dq), beside(dk), beside(dv)], -1)


def gelu(f):
    """Its value and its slope."""
    k, c = np.sqrt(2 / np.pi), 0.044715
    s = sigmoid(2 * k * (f + c * f**3))
    return f * s, s + 2 * f * s * (1 - s) * k * (1 + 3 * c * f**2)


def transformer(p):
    x0 = p["C"][ids] + p["P"]
    ahat, arstd = normalised(x0)
    a = p["gamma_a1"] * ahat + p["beta_a1"]
    qkv = a @ p["Wqkv1"] + p["bqkv1"]
    y = attention(qkv)
    x1 = x0 + y @ p["Wo1"] + p["bo1"]
    mhat, mrstd = normalised(x1)
    m = p["gamma_m1"] * mhat + p["beta_m1"]
    h, slope = gelu(m @ p["Wf1"] + p["bf1"])
    x2 = x1 + h @ p["Wp1"] + p["bp1"]
    xhat, rstd = normalised(x2)
    last = p["gamma"] * xhat + p["beta"]
    dlogits = head(last @ p["W"])

    dlast, dW, _ = linear(last, p["W"], dlogits)
    dx2, dgamma, dbeta = layernorm(xhat, rstd, p["gamma"], dlast)
    g = {"W": dW, "gamma": dgamma, "beta": dbeta}
    dh, g["Wp1"], g["bp1"] = linear(h, p["Wp1"], dx2)
    dm, g["Wf1"], g["bf1"] = linear(m, p["Wf1"], slope * dh)
    dx, g["gamma_m1"], g["beta_m1"] = layernorm(mhat, mrstd, p["gamma_m1"], dm)
    dx1 = dx2 + dx  # the stream, and what came through the MLP
    dy, g["Wo1"], g["bo1"] = linear(y, p["Wo1"], dx1)
    da, g["Wqkv1"], g["bqkv1"] = linear(a, p["Wqkv1"], attention(qkv, dy))
    dx, g["gamma_a1"], g["beta_a1"] = layernorm(ahat, arstd, p["gamma_a1"], da)
    dx0 = dx1 + dx
    return g | {"C": table(p["C"], dx0), "P": dx0.sum(0)}


judge(network.MODELS["transformer"](V, T, 1, HEADS, WIDTH), transformer)

# %% [markdown]
# Attention's backward pass of the first name, a row for each place that asks and a
# column for each that answers. In P all rows sum to 1. In dP stands what each share
# would do to the loss if it could move alone. It cannot, and dS is what is left: red
# and blue cancel in every row, and the first, with a single key, has no choice and no
# gradient.

# %%
figure, axes = plt.subplots(HEADS, 3, figsize=(7, 4.6), layout="constrained")
for row, axes_of_head in enumerate(axes):
    for axis, (name, values) in zip(axes_of_head, pictures.items(), strict=True):
        most = abs(values[row]).max()
        axis.imshow(values[row], cmap="RdBu_r", vmin=-most, vmax=most)
        axis.set_title(f"{name}, head {row + 1}", fontsize=9)
        axis.set_xticks(range(T), list("." + NAMES[0]))
        axis.set_yticks(range(T), list("." + NAMES[0]))
print("rows of dS sum to 0:", bool(abs(pictures["dS"].sum(-1)).max() < 1e-15))
plt.show()
