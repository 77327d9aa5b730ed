"""Models in one GGUF file: found, checked by their header, and read through transformers.

Finding and checking one imports neither torch nor transformers.
"""
