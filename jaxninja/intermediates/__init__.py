"""What a function computes on its way: gradients, names, and statistics of arrays."""
