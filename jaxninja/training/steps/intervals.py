"""How many steps one call takes: until something is due, and what memory holds."""

from collections.abc import Collection

from jaxninja.models import network
from jaxninja.training.config import TrainConfig

CHUNK = 1_000  # steps in one call, at most
GATHERED = 2**24  # numbers in the batches of a call, at most
READ = 2**16  # symbols of sequences in a call, at most: a second's work, about
WORK = 5e11  # operations in a call of more than a step, at most, where they are known


def longest_chunk(config: TrainConfig) -> int:
    """Steps whose batches may be gathered at once: a divisor of CHUNK, so that all
    chunks are of one length where the intervals are round."""
    fits = GATHERED // (config.batch_size * numbers(config))
    if config.reads_sequences:
        fits = min(fits, READ // (config.batch_size * (config.context or 1)))
    if config.reads_text:
        fits = min(fits, WORK // step_flops(config, 1))
    return max(
        (n for n in range(1, CHUNK + 1) if CHUNK % n == 0 and n <= fits), default=1
    )


def step_flops(config: TrainConfig, vocabulary: int) -> int:
    """Operations of a step, estimated; 0 for a model that does not say."""
    language = network.PAGES[config.model].language
    if language is None:
        return 0
    # pyrefly: ignore[unsupported-operation]  of running text it has one
    tokens = config.batch_size * config.context
    model = config.network(vocabulary)
    return language.costs.step_flops(model, tokens, config.context)


def numbers(config: TrainConfig) -> int:
    """Integers in an example: its symbols and its labels."""
    context = config.context or 1
    return 2 * context if config.reads_sequences else context + 1


def next_stop(config: TrainConfig, step: int, stops: Collection[int] = ()) -> int:
    """The first step after `step` at which something is due."""
    intervals = config.log_every, config.eval_every, config.checkpoint_every
    every = (longest_chunk(config), *intervals)
    every += (config.diagnose,) * bool(config.diagnose)
    later = [stop for stop in stops if stop > step]
    return min(config.steps, *(step - step % n + n for n in every), *later)
