"""Normalisations: each input reaches the output directly, by the mean and by the scale.

With xhat the normalised input and g the cotangent reaching it, the layer forms share

    dx = rstd (g - mean(g) - xhat mean(g xhat))

where a form without a mean lacks the middle term.
"""

from jax import lax

from experiments.checker_benchmark.bank.record import normal, record, sizes


def batchnorm(x, gamma, beta, eps, ddof):
    return batchnorm_fwd(x, gamma, beta, eps, ddof)[0]


def batchnorm_fwd(x, gamma, beta, eps, ddof):
    centred = x - x.mean(0)
    rstd = lax.rsqrt((centred * centred).sum(0) / (x.shape[0] - ddof) + eps)
    xhat = centred * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def batchnorm_bwd(eps, ddof, res, dy):
    xhat, rstd, gamma = res
    n = dy.shape[0]
    dgamma = (dy * xhat).sum(0)
    dbeta = dy.sum(0)
    dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / (n - ddof))
    return dx, dgamma, dbeta


def layernorm(x, gamma, beta, eps):
    return layernorm_fwd(x, gamma, beta, eps)[0]


def layernorm_fwd(x, gamma, beta, eps):
    centred = x - x.mean(-1, keepdims=True)
    rstd = lax.rsqrt((centred * centred).mean(-1, keepdims=True) + eps)
    xhat = centred * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def layernorm_bwd(eps, res, dy):
    xhat, rstd, gamma = res
    g = dy * gamma
    mean_g = g.mean(-1, keepdims=True)
    mean_gx = (g * xhat).mean(-1, keepdims=True)
    return rstd * (g - mean_g - xhat * mean_gx), (dy * xhat).sum(0), dy.sum(0)


def rmsnorm(x, gamma, eps):
    return rmsnorm_fwd(x, gamma, eps)[0]


def rmsnorm_fwd(x, gamma, eps):
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
    return gamma * x * rstd, (x, rstd, gamma)


def rmsnorm_bwd(eps, res, dy):
    x, rstd, gamma = res
    xhat = x * rstd
    g = dy * gamma
    dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0)


def groupnorm(x, gamma, beta, groups, eps):
    """x [N, C, T]: mean and variance over each group of channels and all times."""
    return groupnorm_fwd(x, gamma, beta, groups, eps)[0]


def groupnorm_fwd(x, gamma, beta, groups, eps):
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - grouped.mean(-1, keepdims=True)
    rstd = lax.rsqrt((centred * centred).mean(-1, keepdims=True) + eps)
    xhat = (centred * rstd).reshape(x.shape)
    return gamma[:, None] * xhat + beta[:, None], (xhat, rstd, gamma)


def groupnorm_bwd(groups, eps, res, dy):
    xhat, rstd, gamma = res
    g = (dy * gamma[:, None]).reshape(dy.shape[0], groups, -1)
    z = xhat.reshape(g.shape)
    inner = g - g.mean(-1, keepdims=True) - z * (g * z).mean(-1, keepdims=True)
    dx = (rstd * inner).reshape(dy.shape)
    return dx, (dy * xhat).sum((0, 2)), dy.sum((0, 2))


def instancenorm(x, eps):
    return instancenorm_fwd(x, eps)[0]


def instancenorm_fwd(x, eps):
    centred = x - x.mean(2, keepdims=True)
    rstd = lax.rsqrt((centred * centred).mean(2, keepdims=True) + eps)
    return centred * rstd, (centred * rstd, rstd)


def instancenorm_bwd(eps, res, dy):
    xhat, rstd = res
    along = (dy * xhat).mean(2, keepdims=True)
    return (rstd * (dy - dy.mean(2, keepdims=True) - xhat * along),)


def l2norm(x, eps):
    return x * lax.rsqrt((x * x).sum(-1, keepdims=True) + eps)


def l2norm_fwd(x, eps):
    rnorm = lax.rsqrt((x * x).sum(-1, keepdims=True) + eps)
    return x * rnorm, (x * rnorm, rnorm)


def l2norm_bwd(eps, res, dy):
    y, rnorm = res
    return (rnorm * (dy - y * (dy * y).sum(-1, keepdims=True)),)


def weightnorm(v, gain):
    """v [D, H], gain [H]: each column has length gain."""
    return gain * v * lax.rsqrt((v * v).sum(0))


def weightnorm_fwd(v, gain):
    rnorm = lax.rsqrt((v * v).sum(0))
    return gain * v * rnorm, (v * rnorm, rnorm, gain)


def weightnorm_bwd(res, dy):
    unit, rnorm, gain = res
    dgain = (dy * unit).sum(0)
    return gain * rnorm * (dy - unit * dgain), dgain


def scalenorm(x, gain):
    """x [N, D], gain []: each row has length gain."""
    return gain * x * lax.rsqrt((x * x).sum(-1, keepdims=True))


def scalenorm_fwd(x, gain):
    rnorm = lax.rsqrt((x * x).sum(-1, keepdims=True))
    return gain * x * rnorm, (x * rnorm, rnorm, gain)


def scalenorm_bwd(res, dy):
    unit, rnorm, gain = res
    along = (dy * unit).sum(-1, keepdims=True)
    return gain * rnorm * (dy - unit * along), along.sum()


RULES = (
    record(
        batchnorm,
        batchnorm_fwd,
        batchnorm_bwd,
        normal("N D", "D", "D", mean=0.5, std=1.7),
        sizes("N=7 D=5", 1e-5, 1),
        sizes("N=5 D=5", 1e-5, 0),
        static=2,
        source="Ioffe, Szegedy 2015, arXiv:1502.03167",
    ),
    record(
        layernorm,
        layernorm_fwd,
        layernorm_bwd,
        normal("N D", "D", "D"),
        sizes("N=3 D=5", 1e-5),
        sizes("N=4 D=4", 1e-5),
        static=1,
        source="Ba, Kiros, Hinton 2016, arXiv:1607.06450",
    ),
    record(
        rmsnorm,
        rmsnorm_fwd,
        rmsnorm_bwd,
        normal("N D", "D"),
        sizes("N=3 D=5", 1e-6),
        sizes("N=4 D=4", 1e-6),
        static=1,
        source="Zhang, Sennrich 2019, arXiv:1910.07467",
    ),
    record(
        groupnorm,
        groupnorm_fwd,
        groupnorm_bwd,
        normal("N C T", "C", "C"),
        sizes("N=3 C=6 T=5", 2, 1e-5),
        sizes("N=2 C=4 T=4", 4, 1e-5),
        static=2,
        source="Wu, He 2018, arXiv:1803.08494",
    ),
    record(
        instancenorm,
        instancenorm_fwd,
        instancenorm_bwd,
        normal("N C T"),
        sizes("N=2 C=3 T=5", 1e-5),
        sizes("N=3 C=3 T=3", 1e-5),
        static=1,
        source="Ulyanov et al. 2016, arXiv:1607.08022",
    ),
    record(
        l2norm,
        l2norm_fwd,
        l2norm_bwd,
        normal("N D"),
        sizes("N=3 D=5", 1e-12),
        sizes("N=4 D=4", 1e-3),
        static=1,
        source="rows of unit length",
    ),
    record(
        weightnorm,
        weightnorm_fwd,
        weightnorm_bwd,
        normal("D H", "H"),
        sizes("D=5 H=3"),
        sizes("D=4 H=4"),
        source="Salimans, Kingma 2016, arXiv:1602.07868",
    ),
    record(
        scalenorm,
        scalenorm_fwd,
        scalenorm_bwd,
        normal("N D", ""),
        sizes("N=3 D=5"),
        sizes("N=4 D=4"),
        source="Nguyen, Salazar 2019, arXiv:1910.05895",
    ),
)
