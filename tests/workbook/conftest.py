"""Worker processes of these tests share one folder of compiled code, and no other."""

import pytest

from jaxninja.workbook.client import Worker


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
    """So that the second worker starts fast, and the user's own folder is not used."""
    folder = tmp_path_factory.getbasetemp().parent / "workbook-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def worker(compiled):
    with Worker(limit=90.0) as one:
        yield one
