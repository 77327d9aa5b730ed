"""Fine-tuning under a constraint: its schedule, its domains, its targets and its penalty."""
