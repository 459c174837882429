"""The kernel for a configuration: built, and with the constants that it is to use."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxninja.training.config import TrainConfig
from jaxninja.training.kernel import build, call


def prepared(config: TrainConfig, device: Any) -> Callable[..., Any]:
    """`call.train` without its constants, which the configuration has.

    Raises:
        KernelError: it cannot be built for this device.
    """
    build.register(device)
    own, running = config.ddof, config.running_ddof
    running = own if running is None else running
    # pyrefly: ignore[bad-argument-type]  its network has all four
    constants = call.Constants(config.eps, config.bn_momentum, own, running)
    return partial(call.train, constants=constants)
