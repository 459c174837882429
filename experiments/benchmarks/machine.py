"""The machine that measurements are of."""

import datetime
import os
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from jaxninja.training.machine.devices import versions


def device() -> dict[str, Any]:
    first = jax.devices()[0]
    found = re.findall(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    name = found[0] if first.platform == "cpu" and found else first.device_kind
    return {"device": name, "platform": first.platform, "cpus": os.cpu_count()}


def about() -> dict[str, Any]:
    """Where, with what and when something is measured."""
    torch = {"torch": version("torch")} if find_spec("torch") else {}
    today = datetime.date.today().isoformat()
    return device() | {"versions": versions() | torch, "date": today}


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
