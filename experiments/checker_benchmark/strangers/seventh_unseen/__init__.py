"""Of the seventh gathering, what is run once, at the end."""
