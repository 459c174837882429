"""What is under way, since when, and how long is left by the estimates."""

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping

from experiments.all.parts import Part

RARELY = 300  # seconds between two lines where lines cannot be written over


class Progress:
    """Told of each part that begins and ends.

    Args:
        parts: all that is to run.
        minutes: that each takes, by its estimate.
        lanes: how many run at a time where the answer is not a time.
    """

    def __init__(self, parts: Mapping[str, Part], minutes: Mapping[str, float], lanes):
        self.parts, self.minutes, self.lanes = parts, minutes, lanes
        self.since: dict[str, float] = {}
        self.waiting = list(parts)
        self.live = sys.stdout.isatty()

    def began(self, name: str) -> None:
        self.waiting.remove(name)
        self.since[name] = time.monotonic()
        self.say(f"{name} began, about {told(self.minutes[name])}")

    def ended(self, name: str, status: int) -> None:
        took = self.elapsed(name)
        del self.since[name]
        how = f"failed ({status}) after" if status else "done in"
        self.say(f"{name} {how} {told(took)}; {self.rest()}")

    def elapsed(self, name: str) -> float:
        """Minutes since a part began."""
        return (time.monotonic() - self.since[name]) / 60

    def left(self) -> float:
        """Minutes, about, to the end of all."""
        rest = {name: self.minutes[name] for name in self.waiting}
        for name in self.since:
            rest[name] = max(self.minutes[name] - self.elapsed(name), 0)
        beside = [m for name, m in rest.items() if not self.parts[name].timed]
        alone = sum(m for name, m in rest.items() if self.parts[name].timed)
        return max([sum(beside) / self.lanes, *beside]) + alone

    def rest(self) -> str:
        count = len(self.waiting) + len(self.since)
        return f"{count} left, about {told(self.left())}" if count else "none left"

    def under_way(self) -> str:
        running = (
            f"{name} {self.elapsed(name):.0f} of {told(self.minutes[name])}"
            for name in self.since
        )
        return f"{', '.join(running)}; {self.rest()}"

    def say(self, text: str) -> None:
        """A line that stays."""
        self._over("")
        print(f"{time.strftime('%H:%M')}  {text}", flush=True)

    def quote(self, output: str, lines: int = 5) -> None:
        """The end of what a part said."""
        for line in output.splitlines()[-lines:]:
            print(f"       | {line}", flush=True)

    async def tick(self) -> None:
        """Tell what is under way, over and over, until cancelled."""
        while True:
            await asyncio.sleep(1 if self.live else RARELY)
            if self.live:
                self._over(self.under_way())
            else:
                self.say(self.under_way())

    def _over(self, text: str) -> None:
        """Write over the line that does not stay."""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}\r", end="", flush=True)


def told(minutes: float) -> str:
    """ "2 min", or seconds where it is less than two."""
    return f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
