"""Edits of a wrong backward that are tried until one makes it right."""
