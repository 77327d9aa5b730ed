"""Parts that methods share which learn from scorers: rewards, gates, draws, stop rules."""
