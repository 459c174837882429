"""What is traced once, for all sizes or for each."""

import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.adapters import subject_of
from jaxninja.check.subject.structure_traced import accepted_by_jax, structure
from tests.check.subjects import ruled


def test_jax_is_asked_once_whatever_the_sizes():
    """And anew for another rank or dtype; the structure is looked at for each size."""
    seen = []

    def bwd(x, dy):
        seen.append(x.shape)
        return (dy * jnp.cos(x),)

    op = ruled(jnp.sin, lambda x: (jnp.sin(x), x), bwd, ())
    subject, _ = subject_of(op, (np.ones(3, np.float32),))
    for look, expected in ((accepted_by_jax, 3), (structure, 4)):
        seen.clear()
        for shape in ((3,), (5,), (3,), (3, 5)):
            look(subject, (np.ones(shape, np.float32),))
        look(subject, (np.ones(3, jnp.bfloat16),))
        assert len(seen) == expected
