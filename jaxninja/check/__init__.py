"""Is a hand-written backward pass right? Data only; the command line prints it."""
