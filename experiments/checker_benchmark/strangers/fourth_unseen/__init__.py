"""Of the fourth gathering, what is run once, at the end."""
