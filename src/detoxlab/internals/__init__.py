"""Private or undocumented parts of other packages that we rely on, one file per owner.

Nothing else in this package touches them. Each file names the versions it was checked with and
says of every part what is relied on; `tests/internals/test_canaries.py` fails when an owner
changes that, and the bounds in `pyproject.toml` are the same. To take a newer version: raise the
bound in both places, run the canaries, mend what they show.
"""
