"""What holds of every test of the checker."""

import time

import pytest

from jaxninja.check import budget


@pytest.fixture(autouse=True, scope="session")
def _no_race():
    """A search that ends by its time finds more on a faster machine; no test does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "clock", lambda: time.process_time() / 3)
        yield
