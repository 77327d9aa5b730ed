"""Groups of prompts: the mean over groups, and how far groups lie apart.

disparity    statistics of the sums of each group, and what chance alone would give
rows         rows of a measured table
changes      the same of two runs, for paired differences
"""
