"""Of the eighth gathering, what is run once, at the end."""
