"""What is true, how exactly it is known, and how far a rule may be from it."""
