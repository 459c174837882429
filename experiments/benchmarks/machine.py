"""The machine that measurements are of."""

import os
import re
from pathlib import Path
from typing import Any

import jax


def device() -> dict[str, Any]:
    first = jax.devices()[0]
    found = re.findall(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    name = found[0] if first.platform == "cpu" and found else first.device_kind
    return {"device": name, "platform": first.platform, "cpus": os.cpu_count()}


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
