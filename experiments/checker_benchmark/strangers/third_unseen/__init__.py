"""Of the third gathering, what is run once, at the end."""
