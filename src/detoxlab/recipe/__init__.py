"""The settings of commands and recipes, checked before anything runs; import each from its file."""
