"""Models in one GGUF file: finds them, checks their header, reads them through transformers.

Finding and checking one imports neither torch nor transformers.
"""
