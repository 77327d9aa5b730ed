"""Rows of runs: where they stand in the files, how two runs are paired, and the texts of some.

`lines` reads lines of JSON, `index` says where each response stands and what its scores are,
`pairing` joins two indexes and chooses among the rows, `texts` reads those that are shown.
"""
