"""A small correct rule that the tests of the checker break in one place each."""

import jax
import jax.numpy as jnp


def norm(x, gain, eps=1e-3):
    """Rows of x over their root mean square, times gain [D]."""
    return gain * x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)


def norm_fwd(x, gain, eps):
    r = jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
    return gain * x * r, (x, r, gain)


def norm_bwd(eps, res, dy):
    x, r, gain = res
    xhat, dxhat = x * r, gain * dy
    dx = r * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0)


def ruled(plain=norm, fwd=norm_fwd, bwd=norm_bwd, nondiff=(2,)):
    op = jax.custom_vjp(plain, nondiff_argnums=nondiff)
    op.defvjp(fwd, bwd)
    return op


def inputs(N=3, D=5):
    keys = jax.random.split(jax.random.key(8))
    gain = 1.5 + 0.3 * jax.random.normal(keys[1], (D,))
    return jax.random.normal(keys[0], (N, D)), gain


def codes(report) -> set[str]:
    return {finding.code for finding in report.findings}


def relu_rule(slope_at_zero):
    """relu whose gradient at 0 is as given."""

    def bwd(x, dy):
        slope = jnp.where(x > 0, 1.0, jnp.where(x < 0, 0.0, slope_at_zero))
        return (slope.astype(x.dtype) * dy,)

    def plain(x):
        return jnp.maximum(x, 0)

    return ruled(plain, lambda x: (jnp.maximum(x, 0), x), bwd, ())


def filtered(x, w):
    """A real signal [4] with the filter w [3] on its spectrum."""
    return jnp.fft.irfft(jnp.fft.rfft(x) * w, n=4)


def filter_case(spectra):
    """`spectra(g, X, w)` are those of dx and dw, from the spectra of dy and x."""

    def bwd(res, dy):
        x, w = res
        dx, dw = spectra(jnp.fft.rfft(dy), jnp.fft.rfft(x), w)
        dw = jnp.array([1.0, 2.0, 1.0]) * dw / 4
        return jnp.fft.irfft(dx, n=4), dw.astype(w.dtype)

    op = ruled(filtered, lambda *a: (filtered(*a), a), bwd, ())
    x = jnp.array([0.3, -1.2, 0.8, 0.1])
    return op, x, jnp.array([1.2, 0.4 - 0.9j, -0.7])
