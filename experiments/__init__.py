"""Experiments: one question per folder, each with a README of command and result."""
