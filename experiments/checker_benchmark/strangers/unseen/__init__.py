"""Cases that are run once, at the end."""
