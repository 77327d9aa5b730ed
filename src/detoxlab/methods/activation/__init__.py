"""Fitting of activation steerings from toxic and other texts. No weight changes."""
