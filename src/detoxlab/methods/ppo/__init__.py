"""Proximal policy optimization: a policy, a value function, draws, losses and the trainer."""
