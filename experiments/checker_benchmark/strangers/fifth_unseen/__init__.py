"""Of the fifth gathering, what is run once, at the end."""
