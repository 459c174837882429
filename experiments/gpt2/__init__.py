"""GPT-2 by hand: its memory, its speed, and its steps beside PyTorch's."""
