"""The micrograd lecture in JAX: expressions of scalars, a neuron, a network."""
