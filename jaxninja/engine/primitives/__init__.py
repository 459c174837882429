"""The hand-derived VJPs: one family of JAX's primitives a file, and their table."""
