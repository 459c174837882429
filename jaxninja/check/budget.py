"""The processor time that a search may take, and what it had no time for."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")

SECONDS = 10.0  # for an explanation

clock = time.process_time  # a name of its own: tests let it go slower


@dataclass
class Budget:
    """A time of the processor's: a busy machine finds what an idle one does.

    Attributes:
        deadline: by `time.process_time`.
        unsearched: what was not looked at to the end.
    """

    deadline: float
    unsearched: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seconds: float) -> "Budget":
        return cls(clock() + seconds)

    def part(self, seconds: float) -> "Budget":
        """So many seconds of what is left, if it is more."""
        deadline = min(self.deadline, clock() + seconds)
        return Budget(deadline, self.unsearched)

    def shares(self, count: int) -> Iterator["Budget"]:
        """Like parts of it; what one of them leaves is the others'."""
        for others in range(count, 0, -1):
            yield self.part((self.deadline - clock()) / others)

    def during(self, items: Iterable[Item], what: str) -> Iterator[Item]:
        """The items until time is up; then `what` is noted."""
        for item in items:
            if clock() > self.deadline:
                if what not in self.unsearched:
                    self.unsearched.append(what)
                return
            yield item
