"""Fitting the line between toxic and other states, by which SASA decodes."""
