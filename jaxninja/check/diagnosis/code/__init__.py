"""A wrong backward as a program: its steps, their lines, its names."""
