"""Goes on with a run, or reports on a recipe, from the folder alone."""

from detoxlab.pipeline.folders.parts import is_recipe, parts_of
from detoxlab.pipeline.folders.resume import outermost, resume

__all__ = ["is_recipe", "outermost", "parts_of", "resume"]
