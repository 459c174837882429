"""The worked solutions and their known slips, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.workbook import samples
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.diagnosis.mistakes.known_mistakes import mistakes
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.gradient import upstream

EVERY = [(n, name) for n, e in EXERCISES.items() for name in e.names]


def space(exercise, name, sample):
    grads = {f"d{k}": g for k, g in upstream(exercise, name, sample).items()}
    return {**sample.values, **grads}


@pytest.mark.parametrize("which", ["pair", "tied"])
def test_the_solutions_give_the_true_gradients(x64, which):
    """By `+=` an array that another name still holds is not changed."""
    for number, name in EVERY:
        exercise = EXERCISES[number]
        network = exercise.network
        sample = samples.sample(network, getattr(network, which))
        body = [s.node for s in exercise.worked.piece(f"d{name}", exercise.gradients)]
        arrays = space(exercise, name, sample)
        ours = {k: numpy_backend.array(a) for k, a in arrays.items()}
        before = {k: np.array(a) for k, a in ours.items()}
        found = numpy_backend.run(body, ours, f"d{name}")
        truths = [sample.truth[name], *sample.ties.get(name, ())]
        gaps = [np.abs(np.asarray(found) - t).max() for t in truths]
        assert min(gaps) < 1e-12 * sample.scale(name), name
        for k, array in ours.items():
            np.testing.assert_array_equal(array, before[k])


@pytest.mark.parametrize(("number", "name"), [(1, "logits"), (1, "C"), (2, "logits")])
def test_slips_are_what_jax_makes_of_them(x64, number, name):
    """`at`, one_hot and softmax are written anew here; JAX's are the model."""
    exercise = EXERCISES[number]
    sample = samples.sample(exercise.network, exercise.network.pair)
    arrays = space(exercise, name, sample)
    ours = {k: numpy_backend.array(a) for k, a in arrays.items()}
    seen = 0
    for slip in mistakes(exercise, name):
        names = {"jax": jax, "jnp": jnp, **arrays}
        try:
            exec(compile(numpy_backend.module(slip.body), "slip", "exec"), names)
        except Exception:
            continue  # its shapes do not fit; nobody is told of it
        found = numpy_backend.run(slip.body, ours, f"d{name}")
        np.testing.assert_allclose(found, names[f"d{name}"], atol=1e-14)
        seen += 1
    assert seen >= 5


def test_at_adds_for_each_time_that_a_row_is_named_and_leaves_the_array():
    zeros = numpy_backend.array(np.zeros((3, 2)))
    rows = np.asarray([1, 1, 2])
    np.testing.assert_array_equal(zeros.at[rows].add(1.0)[:, 0], [0, 2, 1])
    np.testing.assert_array_equal(zeros.at[rows].set(5.0)[:, 0], [0, 5, 5])
    assert not zeros.any()
