"""The run of a training: its folder, what is in it, and the run as an object."""
