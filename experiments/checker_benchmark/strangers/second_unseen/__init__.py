"""Of the second gathering, what is run once, at the end."""
