"""The training step, and many of them in one call: pure functions of state and step.

`advance` runs n steps as one loop. Batches depend on (seed, step) alone, so a run cut
in two draws the same as a run in one piece. Its steps have the same bits as well: XLA
fuses a loop of one step unlike one of a thousand, so n is an argument of one compiled
program, as are the seed and the learning rate. Another program (several devices, a
member of a sweep, another route) gives the same numbers up to rounding only, and so may
another machine, another version of XLA, or a number of cores among which XLA divides a
large product.
"""

from jaxninja.training.steps.advance import make_advance, take_steps
from jaxninja.training.steps.batches import Data, Feed, Items, Tokens, feed
from jaxninja.training.steps.chunking import Chunk, chunks
from jaxninja.training.steps.divergence import (
    Diverged,
    clip_helps,
    first_nonfinite,
    state_at,
    what_is_left,
)
from jaxninja.training.steps.intervals import (
    longest_chunk,
    next_stop,
    numbers,
    step_flops,
)
from jaxninja.training.steps.keys import arguments
from jaxninja.training.steps.programs import essential, matmul_precision, program
from jaxninja.training.steps.state import State, init_state

__all__ = [
    "Chunk",
    "Data",
    "Diverged",
    "Feed",
    "Items",
    "State",
    "Tokens",
    "arguments",
    "chunks",
    "clip_helps",
    "essential",
    "feed",
    "first_nonfinite",
    "init_state",
    "longest_chunk",
    "make_advance",
    "matmul_precision",
    "next_stop",
    "numbers",
    "program",
    "state_at",
    "step_flops",
    "take_steps",
    "what_is_left",
]
