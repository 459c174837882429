"""Which other forward the user's gradients are the gradients of."""
