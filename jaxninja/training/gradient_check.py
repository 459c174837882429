"""`--check-grads`: gradients of a run held against autodiff, a few times in a run."""

from functools import cache
from typing import Any

import jax
import numpy as np

from jaxninja.errors import TrainError
from jaxninja.jaxpr import quick_to_compile
from jaxninja.models import agreement
from jaxninja.models.by_hand import user_file
from jaxninja.training.config import TrainConfig
from jaxninja.training.machine import distributed
from jaxninja.training.progress import Progress
from jaxninja.training.runs.run import Run

SMALL = 1 << 18  # parameters, up to which compiling takes longer than running


def steps_to_check(config: TrainConfig) -> set[int]:
    """`check_grads` steps spread evenly over the run, wherever it was resumed."""
    count = min(config.check_grads, config.steps)
    return {i * config.steps // count for i in range(count)}


def at(run: Run, to_check: set[int], progress: Progress) -> None:
    """Stop the run if its route and autodiff part at the step about to come.

    Raises:
        TrainError: they do.
    """
    if run.step not in to_check:
        return
    ids, labels = run.batch(run.step)
    # a program's results are bound to its device, and would be compiled for once more
    params = distributed.here(run.params)
    small = sum(p.size for p in params.values()) < SMALL
    route = run.config.route
    apart = _compiled(small)(
        route, user_file.version(route), params, ids, labels, run.model
    )
    apart = {name: float(error) for name, error in jax.device_get(apart).items()}
    worst = max(apart, key=lambda name: np.nan_to_num(apart[name], nan=np.inf))
    bound = agreement.tolerance(agreement.precision(params, run.model))
    if not apart[worst] <= bound:
        raise TrainError(
            f"at step {run.step} the gradient of {worst} by route {route} is "
            f"{apart[worst]:.1e} of its scale away from autodiff's, expected at most "
            f"{bound:.1e}; `jaxninja show {route}` prints its derivation"
        )
    progress.say(
        f"gradients at step {run.step:,}: worst {worst}, {apart[worst]:.1e} apart"
    )


@cache
def _compiled(small: bool) -> Any:
    """Both gradients as one program, quick to compile where it is quick to run too."""
    options = quick_to_compile() if small else None
    return jax.jit(_disagreement, static_argnums=(0, 1, 5), compiler_options=options)


def _disagreement(route, text, params, ids, labels, model):
    """Traced anew where a route that is a file has another text, of that version."""
    return agreement.disagreement(route, params, ids, labels, model)
