"""Backward passes laid out for speed: the mathematics of the pages, and their names."""
