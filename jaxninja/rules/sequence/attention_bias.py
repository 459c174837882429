"""Attention with a bias on its scores, or a mask: attention.py, and one line more.

    z[b, h, t, s] = scale q[t] . k[s] + bias[b, h, t, s]   or -inf where a mask is False

z moves by dbias too, with slope 1. So the cotangent of the bias is that of z itself,

    dbias = dz = p (dy[t] . v[s] - dy[t] . y[t])

before the scale and the cap's slope, summed over the axes along which a bias of size 1
was repeated: the positions of a padded batch are [B, 1, 1, S], those of ALiBi [1, H,
T, S]. A bias of T x S numbers has a gradient of T x S numbers, which are written once;
one that is repeated along t or s costs no more memory than it has itself.

Check: a constant added to a row of z leaves p alone, so dbias sums to 0 over s. Where
bias is -inf p = 0, and dbias = 0. A row that is all masked has y = 0 and no gradient.
"""

from functools import partial

import jax
from jaxtyping import Array, Bool, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.sequence.attention import Residuals
from jaxninja.rules.sequence.definition import (
    Options,
    check_arguments,
    check_bias,
    defined,
)
from jaxninja.rules.sequence.walks import backward, forward, move


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def attention_bias(
    q: Float[Array, "B T H D"],
    k: Float[Array, "B S K D"],
    v: Float[Array, "B S K E"],
    bias: Float[Array, "..."] | Bool[Array, "..."],
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Float[Array, "B T H E"]:
    """y = softmax(scale q . k + bias) v; see attention for what is not said here.

    Args:
        q, k, v: [B, T, H, D], [B, S, K, D], [B, S, K, E] as in attention.
        bias: broadcasts to [B, H, T, S]. Added to the scores, after the cap; -inf hides
            a key. Booleans hide it where they are False, and have no gradient.
        causal, window, scale, softcap: as in attention, besides what bias hides.

    Returns:
        [B, T, H, E] in the type of q; 0 for a query that sees no key, which has no
        gradient, in bias neither.

    Raises:
        ValueError: shapes or types do not fit, or an option is out of its range.

    Source: as attention; bias: Raffel et al. 2020, arXiv:1910.10683 (T5), and Press,
    Smith, Lewis 2022, arXiv:2108.12409 (ALiBi).
    """
    return attention_bias_fwd(q, k, v, bias, causal, window, scale, softcap)[0]


def attention_bias_fwd(q, k, v, bias, *static):
    options = Options(*static)
    check_arguments("attention_bias", q, k, v, options)
    check_bias("attention_bias", q, k, bias)
    y, m, log_sum = forward(q, k, v, _four(bias), options)
    return y, Residuals(q, k, v, bias, y, m, log_sum)


def attention_bias_bwd(causal, window, scale, softcap, res, dy):
    """Returns dq [B, T, H, D], dk [B, S, K, D], dv [B, S, K, E] and dbias, as bias."""
    options = Options(causal, window, scale, softcap)
    *d, dbias = backward(res._replace(bias=_four(res.bias)), dy, options)
    return *d, None if dbias is None else dbias.reshape(res.bias.shape)


attention_bias.defvjp(attention_bias_fwd, attention_bias_bwd)


def attention_bias_jvp(causal, window, scale, softcap, primals, tangents):
    """Returns y and its move dy [B, T, H, E] for moves of q, k, v and bias."""
    options = Options(causal, window, scale, softcap)
    y, res = attention_bias_fwd(*primals, *options)
    res, (*d, dbias) = res._replace(bias=_four(res.bias)), tangents
    dbias = None if primals[3].dtype == bool else _four(dbias)
    return y, move(res, (*d, dbias), options)


def plain(q, k, v, bias, *static):
    """The plain form, which holds all scores: `jax.grad` of it judges the rule."""
    check_arguments("attention_bias", q, k, v, Options(*static))
    check_bias("attention_bias", q, k, bias)
    return defined(q, k, v, _four(bias), Options(*static))


def _four(bias):
    """bias with four axes, as [..., T, S] has the last of [B, H, T, S]."""
    return bias.reshape((1,) * (4 - bias.ndim) + bias.shape)


def example(key, B, T, S, K, G, D, alike):
    """`alike`: which of the first three axes of bias are 1, as binary digits. Not the
    last axis: a bias alike for all keys moves nothing, and its gradient is 0."""
    keys = jax.random.split(key, 4)
    q = 1.5 * jax.random.normal(keys[0], (B, T, K * G, D))
    k, v = (0.3 + jax.random.normal(key, (B, S, K, D)) for key in keys[1:3])
    shape = (B, K * G, T, S)
    shape = [1 if axis < 3 and alike & 4 >> axis else n for axis, n in enumerate(shape)]
    return q, k, v, jax.random.normal(keys[3], shape)


def sizes(*numbers, alike=0):
    return dict(zip("BTSKGD", numbers, strict=True)) | {"alike": alike}


rule = Rule(
    op=attention_bias,
    fwd=attention_bias_fwd,
    bwd=attention_bias_bwd,
    jvp=attention_bias_jvp,
    example=example,
    reference=plain,
    cases=(
        Case(sizes(2, 7, 5, 1, 3, 4, alike=0b000), (False, None, None, None)),
        Case(sizes(2, 131, 130, 2, 1, 3, alike=0b101), (True, 50, None, None)),
        Case(sizes(3, 4, 9, 2, 2, 5, alike=0b011), (False, None, 0.7, 2.5)),
        Case(sizes(1, 1, 6, 1, 1, 2, alike=0b100), (False, None, None, None)),
        Case(sizes(2, 3, 4, 2, 3, 1, alike=0b110), (True, None, None, None)),
    ),
    bench=Case(sizes(1, 1024, 1024, 4, 1, 64, alike=0b101), (True,) + (None,) * 3),
    why="where scores are so large that a row has one key only, p made again from them "
    "is off by their rounding, about 1e-7 of the largest score: beyond autodiff's, "
    "which keeps p, by a factor of 100 in such a sample",
    source="Raffel et al. 2020, arXiv:1910.10683",
)
