"""Methods that prefer one response to another; each file is one of them."""
