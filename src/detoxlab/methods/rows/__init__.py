"""Dialogues, pairs and texts as token ids and labels: what a model reads, and what it learns."""
