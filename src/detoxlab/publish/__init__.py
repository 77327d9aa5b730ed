"""A trained model as a folder to give away, with a card that holds what was measured."""
