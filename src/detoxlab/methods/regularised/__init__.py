"""Fine-tuning under a constraint: its schedule, its domains, and what it asks for."""
