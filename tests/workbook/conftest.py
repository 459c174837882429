"""One worker for all tests that run a learner's lines in a process of their own."""

import pytest

from jaxninja.workbook.process.client import Worker


@pytest.fixture(scope="session")
def worker():
    with Worker(limit=90.0) as one:
        yield one
