"""Derivations, as the rule files write them in ASCII, set as mathematics."""
