"""The responses of a grid, prompts × samples, in blocks of prompts.

A block lists the distinct responses in it once, so that a property of a text is computed once for
all its repetitions. Responses in memory are one block; those of a large run stay on disk, and a
block is in memory while it is read.
"""

from detoxlab.measures.texts.blocks import Block, HeldTexts, Texts
from detoxlab.measures.texts.streamed import StreamedScores, StreamedTexts

__all__ = ["Block", "HeldTexts", "StreamedScores", "StreamedTexts", "Texts"]
