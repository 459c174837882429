"""How it was done before autograd: update rules and backward passes on paper."""
