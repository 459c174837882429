"""How far roundings move a gradient, and what a right rule may be off by them."""
