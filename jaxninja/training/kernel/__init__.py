"""The whole training loop of the lecture's network as one kernel: `--engine kernel`."""
