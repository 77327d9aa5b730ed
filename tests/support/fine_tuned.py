"""Small trainings by SFT."""

from pathlib import Path
from typing import Any

from detoxlab.data.split import DialogueSplit
from detoxlab.methods import method_of
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.models import LanguageModel
from detoxlab.runs import Run
from tests.support.tiny import dialogues, tiny_lm

DATA = DialogueSplit(dialogues(24), dialogues(6, start=100))
FAST: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-2, "save_steps": 4, "lora_r": 4}


def trained(
    folder: Path,
    lm: LanguageModel | None = None,
    data: DialogueSplit = DATA,
    **settings: Any,
) -> Run:
    config = SFTConfig(**(FAST | settings))
    run = Run.start(folder, kind="train", config=config.model_dump(mode="json"), resume=True)
    with run.writing():
        adapter = method_of(config).fit(lm or tiny_lm(), data, run)
    assert adapter == run.path / "adapter"
    return run
