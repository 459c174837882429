"""Elementwise functions: the Jacobian is diagonal, dx = f'(x) dy.

At a kink the convention is that of `jnp.where(x > 0, ...)`: the left branch at 0.
"""

import math

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.bank.record import normal, record, sizes

CASES = (sizes("N=3 D=5"), sizes("N=1 D=1"), sizes("N=4 D=4"))


def tanh(x):
    return jnp.tanh(x)


def tanh_fwd(x):
    y = jnp.tanh(x)
    return y, y


def tanh_bwd(y, dy):
    return ((1 - y) * (1 + y) * dy,)


def sigmoid(x):
    return jax.lax.logistic(x)


def sigmoid_fwd(x):
    y = jax.lax.logistic(x)
    return y, y


def sigmoid_bwd(y, dy):
    return (y * (1 - y) * dy,)


def relu(x):
    return jnp.where(x > 0, x, 0)


def relu_fwd(x):
    return relu(x), x


def relu_bwd(x, dy):
    return (jnp.where(x > 0, dy, 0),)


def leaky_relu(x, slope):
    return jnp.where(x > 0, x, slope * x)


def leaky_relu_fwd(x, slope):
    return leaky_relu(x, slope), x


def leaky_relu_bwd(slope, x, dy):
    return (jnp.where(x > 0, dy, slope * dy),)


def elu(x, alpha):
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x)))


def elu_fwd(x, alpha):
    y = elu(x, alpha)
    return y, y


def elu_bwd(alpha, y, dy):
    return (jnp.where(y > 0, dy, dy * (y + alpha)),)


def softplus(x):
    return jnp.logaddexp(x, 0)


def softplus_fwd(x):
    return softplus(x), x


def softplus_bwd(x, dy):
    return (dy * jax.lax.logistic(x),)


def log_sigmoid(x):
    return -jnp.logaddexp(-x, 0)


def log_sigmoid_fwd(x):
    return log_sigmoid(x), x


def log_sigmoid_bwd(x, dy):
    return (dy * jax.lax.logistic(-x),)


def gelu_erf(x):
    return 0.5 * x * (1 + jax.lax.erf(x / math.sqrt(2)))


def gelu_erf_fwd(x):
    return gelu_erf(x), x


def gelu_erf_bwd(x, dy):
    cdf = 0.5 * (1 + jax.lax.erf(x / math.sqrt(2)))
    pdf = jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return (dy * (cdf + x * pdf),)


def gelu_tanh(x):
    return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_fwd(x):
    return gelu_tanh(x), x


def gelu_tanh_bwd(x, dy):
    c = math.sqrt(2 / math.pi)
    t = jnp.tanh(c * (x + 0.044715 * x**3))
    inner = c * (1 + 3 * 0.044715 * x**2)
    return (dy * (0.5 * (1 + t) + 0.5 * x * (1 - t) * (1 + t) * inner),)


def silu(x):
    return x * jax.lax.logistic(x)


def silu_fwd(x):
    return silu(x), x


def silu_bwd(x, dy):
    s = jax.lax.logistic(x)
    return (dy * s * (1 + x * (1 - s)),)


def mish(x):
    return x * jnp.tanh(jnp.logaddexp(x, 0))


def mish_fwd(x):
    t = jnp.tanh(jnp.logaddexp(x, 0))
    return x * t, (x, t)


def mish_bwd(res, dy):
    x, t = res
    return (dy * (t + x * (1 - t) * (1 + t) * jax.lax.logistic(x)),)


def softsign(x):
    return x / (1 + jnp.abs(x))


def softsign_fwd(x):
    return softsign(x), x


def softsign_bwd(x, dy):
    return (dy / (1 + jnp.abs(x)) ** 2,)


def hardtanh(x):
    return jnp.where(x > 1, 1, jnp.where(x < -1, -1, x))


def hardtanh_fwd(x):
    return hardtanh(x), x


def hardtanh_bwd(x, dy):
    return (jnp.where((x >= -1) & (x <= 1), dy, 0),)


def softcap(x, cap):
    return cap * jnp.tanh(x / cap)


def softcap_fwd(x, cap):
    y = softcap(x, cap)
    return y, y


def softcap_bwd(cap, y, dy):
    return (dy * (1 - y / cap) * (1 + y / cap),)


def _elementwise(plain, fwd, bwd, source, *static):
    cases = [sizes(str(c).replace(",", " "), *static) for c in CASES]
    wide = normal("N D", mean=0.2, std=1.5)
    return record(plain, fwd, bwd, wide, *cases, static=len(static), source=source)


RULES = (
    _elementwise(tanh, tanh_fwd, tanh_bwd, "LeCun et al. 1998, Efficient BackProp"),
    _elementwise(sigmoid, sigmoid_fwd, sigmoid_bwd, "Rumelhart et al. 1986"),
    _elementwise(relu, relu_fwd, relu_bwd, "Nair, Hinton 2010"),
    _elementwise(leaky_relu, leaky_relu_fwd, leaky_relu_bwd, "Maas et al. 2013", 0.1),
    _elementwise(elu, elu_fwd, elu_bwd, "Clevert et al. 2015, arXiv:1511.07289", 1.5),
    _elementwise(softplus, softplus_fwd, softplus_bwd, "Dugas et al. 2001"),
    _elementwise(log_sigmoid, log_sigmoid_fwd, log_sigmoid_bwd, "log of the logistic"),
    _elementwise(gelu_erf, gelu_erf_fwd, gelu_erf_bwd, "arXiv:1606.08415"),
    _elementwise(gelu_tanh, gelu_tanh_fwd, gelu_tanh_bwd, "arXiv:1606.08415"),
    _elementwise(silu, silu_fwd, silu_bwd, "Elfwing et al. 2017, arXiv:1702.03118"),
    _elementwise(mish, mish_fwd, mish_bwd, "Misra 2019, arXiv:1908.08681"),
    _elementwise(softsign, softsign_fwd, softsign_bwd, "Bergstra et al. 2009"),
    _elementwise(hardtanh, hardtanh_fwd, hardtanh_bwd, "Collobert 2004"),
    _elementwise(softcap, softcap_fwd, softcap_bwd, "Gemma 2, arXiv:2408.00118", 2.0),
)
