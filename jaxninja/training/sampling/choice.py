"""How the next symbol is chosen from its logits: temperature, top-k and top-p."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.errors import UserError
from jaxninja.training.options.limits import LONGEST, MOST
from jaxninja.training.options.values import plain, shown


class SampleError(UserError, ValueError):
    """A request that cannot be sampled; the message names the argument."""


class Choice(NamedTuple):
    """How tamely to draw.

    Attributes:
        temperature: divides the logits: below 1 tamer, above 1 wilder; 0 takes the most
            likely symbol every time.
        top_k: draw among the k most likely symbols only.
        top_p: draw among the fewest most likely symbols that have this probability
            together (nucleus sampling; Holtzman et al. 2019, arXiv 1904.09751), after
            top_k.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def check(self, vocabulary: int) -> None:
        """Refuse what makes no sense among so many symbols.

        Raises:
            SampleError: a temperature outside 0..1e30, a top_k outside 1..V, or a top_p
                that is not above 0 and at most 1.
        """
        t, k, p = self
        expect("temperature", t, 0 <= t <= 1e30, "from 0 to 1e30")
        in_range = k is None or 1 <= k <= vocabulary
        expect("top_k", k, in_range, f"in 1..{vocabulary}")
        expect("top_p", p, p is None or 0 < p <= 1, "above 0 and at most 1")

    @property
    def divisor(self) -> float:
        """Of the logits; 0 is left to `greedy`."""
        return max(self.temperature, 1e-30)

    @property
    def static(self) -> tuple[int | None, float | None, bool]:
        """What a program is compiled for: top_k, top_p, and whether it is greedy."""
        return self.top_k, self.top_p, self.temperature == 0


def chosen(
    key: Array, logits: Float[Array, "N V"], divisor: Any, static: tuple
) -> Int[Array, "N"]:
    """A symbol for each row; `divisor` and `static` are those of a Choice."""
    top_k, top_p, greedy = static
    if greedy:
        return logits.argmax(-1).astype(jnp.int32)
    if top_k is not None:
        least = jax.lax.top_k(logits, top_k)[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    scores = (logits / divisor).astype(jnp.float32)  # in x64 mode too
    if top_p is not None:
        scores = _nucleus(scores, top_p)
    return jax.random.categorical(key, scores).astype(jnp.int32)


def _nucleus(scores, top_p):
    """-inf but for the likeliest symbols that have probability top_p together; ties
    with the last of them stay in."""
    descending = -jnp.sort(-scores, -1)
    p = jax.nn.softmax(descending)
    inside = jnp.cumsum(p, -1) - p < top_p  # what those before it have is less
    top = descending[:, :1]  # is in, however small top_p
    least = jnp.where(inside, descending, top).min(-1, keepdims=True)
    return jnp.where(scores < least, -jnp.inf, scores)


def check_seed(seed: int) -> None:
    """A key has 32 bits of a seed: a longer one would be cut, and equal another.

    Raises:
        SampleError: it has more.
    """
    expect("seed", seed, -(2**31) <= seed < 2**31, "an integer of 32 bits")


def in_parts(count: int, most: int) -> list[int]:
    """A count in parts of `most` and a last one: the memory is that of one part.

    Raises:
        SampleError: it is below 1 or above `MOST`.
    """
    expected = f"1 or more, at most {MOST:,}; draw others by another seed"
    expect("count", count, 1 <= count <= MOST, expected)
    return [min(most, count - start) for start in range(0, count, most)]


def check_length(length: int) -> None:
    """Refuse more than can be waited for: nothing stops a program once it writes.

    Raises:
        SampleError: it is below 1 or above `LONGEST`.
    """
    expected = f"1 or more, at most {LONGEST:,}; go on from the end of it by a prompt"
    expect("length", length, 1 <= length <= LONGEST, expected)


# the arguments of a request, and what they are
KINDS: dict[str, Any] = {
    "count": int,
    "temperature": float,
    "top_k": int | None,
    "prompt": str,
    "seed": int,
    "top_p": float | None,
    "length": int | None,
}


def read(name: str, given: Any) -> Any:
    """An argument of a request as the plain value of its kind.

    Raises:
        SampleError: it is of another.
    """
    try:
        return plain(given, KINDS[name])
    except ValueError as error:
        raise SampleError(f"{name} is {shown(given)}, expected {error}") from None


def expect(name: str, given: Any, holds: bool, expected: str) -> None:
    """Refuse an argument.

    Raises:
        SampleError: it does not hold.
    """
    if not holds:
        raise SampleError(f"{name} is {given!r}, expected {expected}")


def expect_finite(finite: Any) -> None:
    """Refuse what was drawn from logits that are not numbers.

    Raises:
        SampleError: a step's logits were not finite.
    """
    if not finite.all():
        raise SampleError(
            "the network's logits are not finite: its parameters or batchnorm's "
            "statistics hold NaN or infinity; sample an earlier checkpoint, or train "
            "anew with a smaller --lr"
        )
