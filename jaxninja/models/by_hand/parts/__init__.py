"""What several whole backward passes are made of."""
