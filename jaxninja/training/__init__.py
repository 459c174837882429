"""A training run: its configuration, its steps, its loop, and what it becomes."""
