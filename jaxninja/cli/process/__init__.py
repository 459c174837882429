"""The process that a command runs in: its environment and its streams."""
