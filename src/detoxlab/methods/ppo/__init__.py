"""Proximal policy optimization: a policy, a value function, and what a step learns from."""
