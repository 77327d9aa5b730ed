"""Make open language models less toxic, and prove it."""
