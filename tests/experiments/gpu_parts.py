"""Parts that end in different ways."""

import time


def good(tiny):
    yield {"what": "first", "value": 1}
    yield {"what": "second", "tiny": tiny}


def fails(tiny):
    yield {"what": "before", "value": 2.5}
    raise RuntimeError("no such device")


def hangs(tiny):
    yield {"what": "before"}
    time.sleep(600)
