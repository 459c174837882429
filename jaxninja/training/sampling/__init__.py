"""Inventing: how the next symbol is chosen, items to their end, texts to a length."""
