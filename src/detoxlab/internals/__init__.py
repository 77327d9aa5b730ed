"""Private or undocumented parts of other packages that we rely on, one file per owner.

Nothing else in this package uses them. Each file names the versions with which it was checked and
describes the behaviour on which it relies; `tests/internals/test_canaries.py` fails when an owner
changes that, and the bounds in `pyproject.toml` are the same. To allow a newer version: raise the
bound in both places, run the canaries, repair what they show.
"""
