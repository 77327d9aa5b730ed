"""The one table of all variants, also with rows that were published before."""
