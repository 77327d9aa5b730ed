"""What methods share that learn from scorers: rewards, gates, conditions, draws, stop rules."""
