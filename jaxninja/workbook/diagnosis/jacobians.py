"""The Jacobian of one row of a step, the learner's and the true one.

Backward a step is linear in its upstream gradient. Put in a one at one entry after the
other, and it gives its Jacobian row by row: which pairs of entries are wrong?
"""

from contextlib import suppress
from typing import Any

import numpy as np

from jaxninja.check.compare import wide
from jaxninja.workbook import samples
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream


def of_row(exercise: Exercise, name: str, piece: Piece) -> dict[str, Any] | None:
    """The Jacobian of the last row of the first example, on the `tied` sizes.

    Under `jax.enable_x64(True)`.

    Returns:
        As `Report.jacobian`; None if the exercise has none here, or the lines raise.
    """
    if name not in exercise.jacobians:
        return None
    sample = samples.sample(exercise.network, exercise.network.tied)
    (source,) = exercise.sources(name)[0]
    shape = np.shape(sample.values[source])
    row = (*(0 for _ in shape[:-2]), shape[-2] - 1)
    body = [s.node for s in exercise.worked.piece(f"d{name}", exercise.gradients)]
    mine, truth = [], []
    for k in range(shape[-1]):
        one = np.zeros(shape)
        one[(*row, k)] = 1.0
        grads = {**upstream(exercise, name, sample), source: one}
        space = {**sample.values, **{f"d{key}": g for key, g in grads.items()}}
        arrays = {key: numpy_backend.array(a) for key, a in space.items()}
        truth.append(np.asarray(numpy_backend.run(body, arrays, f"d{name}"))[row])
        with suppress(Exception):
            mine.append(wide(piece(dict(sample.values), grads))[row])
    if np.shape(mine) != np.shape(truth):
        return None
    place = ", ".join(map(str, row))
    found = {"mine": np.asarray(mine).tolist(), "truth": np.asarray(truth).tolist()}
    return {"name": f"{name}[{place}]", "source": f"{source}[{place}]", **found}
