import jax
import pytest

from jaxninja.training.kernel import build


@pytest.fixture(scope="session")
def twin(tmp_path_factory):
    """The kernel's twin, built and known to XLA; its tests skip without a compiler."""
    if build.compiler("cpu") is None:
        pytest.skip("no C++ compiler found: put g++ on PATH, or name one in CXX")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        build.register(jax.devices("cpu")[0])
        return build.library(jax.devices("cpu")[0]).path
