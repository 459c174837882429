"""A graph as text and as a drawing, made of text alone."""
