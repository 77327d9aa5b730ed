"""Scoring off the event loop: processes that hold the scorers, and the queue in front of them."""
