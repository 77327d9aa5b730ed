"""Adapters in PEFT's layout: checks their kind, and puts them on their base."""
