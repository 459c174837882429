"""The settings of a training: as plain values, a model's own, and what must hold."""
