"""Evidence on a rule for the hint engine, by its plain forward, fwd and bwd alone."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.evidence import Evidence, Sample

SEEDS = (1, 2)


class Subject:
    """The part of the checker's subject that the engine may rely on."""

    static, kind = (), "pair"

    def __init__(self, plain, fwd, bwd):
        self.plain, self._fwd, self.bwd = plain, fwd, bwd
        self.argument_names = tuple(inspect.signature(plain).parameters)
        code = inspect.unwrap(bwd).__code__
        self.source = (code.co_filename, code.co_firstlineno)

    def fwd(self, args):
        return self._fwd(*args)


def arguments(shapes, seed):
    """Normal numbers of the shapes; for an integer n, n repeated indices below 3."""
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(
            rng.integers(0, 3, s) if isinstance(s, int) else rng.normal(0, 1, s)
        )
        for s in shapes
    )


def sample(subject, shapes, seed):
    args = arguments(shapes, seed)
    floats = [i for i, a in enumerate(args) if jnp.issubdtype(a.dtype, jnp.floating)]
    y, residuals = subject.fwd(args)
    rng = np.random.default_rng(seed + 100)
    dy = jax.tree.map(lambda a: jnp.asarray(rng.normal(0.1, 1, a.shape)), y)

    def plain(*active):
        full = list(args)
        for i, a in zip(floats, active, strict=True):
            full[i] = a
        return subject.plain(*full)

    truth = jax.vjp(plain, *(args[i] for i in floats))[1](dy)
    got = subject.bwd(residuals, dy)
    names = tuple(subject.argument_names[i] for i in floats)
    mine = tuple(np.asarray(got[i]) for i in floats)
    return Sample(args, dy, residuals, mine, tuple(map(np.asarray, truth)), names)


def evidence(plain, fwd, bwd, shapes):
    subject = Subject(plain, fwd, bwd)
    drawn = tuple(sample(subject, shapes, seed) for seed in SEEDS)
    return Evidence(subject, drawn, lambda seed: sample(subject, shapes, seed))
