"""Adapters in PEFT's layout: which kinds can be used, and how they are put on their base."""
