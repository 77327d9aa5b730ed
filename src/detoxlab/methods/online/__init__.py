"""Methods that compare a group of the model's own responses: grpo and rloo."""
