"""The settings of commands and recipes, checked before anything runs; import them by file."""
