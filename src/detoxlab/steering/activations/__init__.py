"""Steering of activations: each named site of a model has a map, which hooks apply.

maps         the maps, one table: affine, scale, shift, projection
files        the files of a fit in a run folder, read and written
session      the steering, and its session for one batch
fold         the steering in plain weights, where that is exact
"""
