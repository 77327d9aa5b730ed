"""Writes a trained model as a folder for others, with a card that holds its measurements."""
