"""Fitting an auxiliary model as a method of its own."""
