"""Backprop is a leaky abstraction: six failures, their symptoms, their fixes."""
