"""Methods that imitate responses: sft, filter and rejection."""
