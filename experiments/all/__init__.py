"""Every result made again by one command: see `experiments/all/__main__.py`."""
