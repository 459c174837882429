"""Whole backward passes by hand, a network a file, and the one in a user's file."""
