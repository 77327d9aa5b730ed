"""Methods that prefer one response to another: dpo and kto."""
