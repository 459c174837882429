"""A learner's code runs in a process of its own."""
