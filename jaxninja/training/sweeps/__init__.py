"""Many whole trainings at once."""
