"""Of the sixth gathering, what is run once, at the end."""
