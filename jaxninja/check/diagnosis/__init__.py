"""Why a gradient is wrong: the mistake by name, its place, and what fixes it."""
