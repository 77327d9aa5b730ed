"""Small trainings by SFT."""

from pathlib import Path
from typing import Any

from detoxlab.data.split import DialogueSplit
from detoxlab.models import LanguageModel
from detoxlab.runs import Run
from tests.support.tiny import dialogues
from tests.support.training_runs import fitted

DATA = DialogueSplit(dialogues(24), dialogues(6, start=100))


def trained(
    folder: Path,
    lm: LanguageModel | None = None,
    data: DialogueSplit = DATA,
    **settings: Any,
) -> Run:
    return fitted("sft", folder, data, lm, **settings)
