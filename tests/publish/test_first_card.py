"""The script of docs/publishing.md leads from a model to a published card."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.support.fake_hub import Hub, running

SCRIPT = Path(__file__).parents[2] / "docs" / "first-card.sh"
COMMAND = f'#!/bin/sh\nexec "{sys.executable}" -m detoxlab "$@"\n'


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_from_a_model_to_its_card_on_the_hub(data_dir: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "detoxlab"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    model = data_dir / "models" / "tinystories-656k"
    with running(Hub()) as hub:
        done = subprocess.run(
            ["sh", str(SCRIPT), str(model), "lab/milder-stories"],
            cwd=tmp_path,
            env=os.environ | hub.environment(PATH=path),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    repo = hub.repos["lab/milder-stories"]
    assert repo.private
    assert {"model.safetensors", "tokenizer.json", "measurements.json"} <= set(repo.files)
    card = repo.files["README.md"].decode()
    assert "**Verdict: " in card
    assert len(ModelCard(card).data.eval_results) == 10
    assert card in done.stdout  # it was shown before it was uploaded
    assert 'model="lab/milder-stories"' in card
    assert hub.token not in done.stdout + done.stderr
