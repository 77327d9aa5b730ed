"""Methods that imitate responses; each file is one of them."""
