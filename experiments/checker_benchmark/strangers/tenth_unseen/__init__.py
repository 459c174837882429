"""Of the tenth gathering, what is run once, at the end."""
