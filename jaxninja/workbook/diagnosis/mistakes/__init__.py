"""Mistakes that are known: the worked solution's lines with something wrong in them."""
