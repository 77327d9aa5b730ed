"""The script and the language that a text is written in.

`script` knows scripts by the names of letters, `languages` tells languages apart by words and
letters.
"""
