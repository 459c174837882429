"""A learner's file, as a route has it."""

import pytest


@pytest.fixture
def file(tmp_path):
    def written(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return written
