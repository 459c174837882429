"""A learner's code, read: its statements, and the lines that make a gradient."""
