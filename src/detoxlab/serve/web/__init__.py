"""The HTTP around the answers: limits, keys, metrics, and the pages for people."""
