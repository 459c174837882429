"""Of the ninth gathering, what is run once, at the end."""
