"""Task-vector negation: an adapter learns toxic texts, and its change is taken away instead."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.methods.rows.contrast import toxic_side
from detoxlab.models import load_model, token_log_probs
from detoxlab.records import Preference, Text
from detoxlab.runs import Run
from tests.support.tiny import save_tiny
from tests.support.training_runs import fitted

SAID = [f"you fool {i}" for i in range(6)]
TEXTS = TextSplit([Text(f"t{i}", text, "test", "toxic") for i, text in enumerate(SAID)])


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / "adapter" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("negation") / "base")


@pytest.fixture(scope="module")
def run(base: Path) -> Run:
    return fitted("task-negation", base.parent / "run", TEXTS, load_model(base), epochs=4)


def test_its_change_is_minus_that_of_sft_on_the_same_texts(base: Path, run: Run) -> None:
    """Of SFT, B is multiplied by alpha / r = 32 / 4 when it is used; of the negated, by 1."""
    learnt = weights(fitted("sft", base.parent / "sft", TEXTS, load_model(base), epochs=4))
    negated = weights(run)
    assert negated.keys() == learnt.keys()
    for name, tensor in learnt.items():
        factor = -8.0 if "lora_B" in name else 1.0
        assert torch.equal(negated[name], factor * tensor)
    lm = load_model(run.path)
    assert {
        layer.scaling["default"]
        for layer in lm.model.modules()
        if hasattr(layer, "scaling") and isinstance(layer.scaling, dict)
    } == {1.0}


def test_toxic_texts_become_less_likely_the_stronger_it_is(base: Path, run: Run) -> None:
    def nats(strength: float) -> float:
        lm = load_model(base, adapter=run.path, strength=strength)
        ids = [lm.prompt_ids(text, chat=False) for text in SAID]
        found = token_log_probs(lm, [one[:1] for one in ids], [one[1:] for one in ids])
        return float(sum(one.sum() for one in found))

    assert nats(0.0) > nats(0.1) > nats(0.3)


def test_scale_is_the_strength_that_is_written(base: Path, run: Run) -> None:
    half = fitted(
        "task-negation", base.parent / "half", TEXTS, load_model(base), epochs=4, scale=0.5
    )
    for name, tensor in weights(run).items():
        factor = 0.5 if "lora_B" in name else 1.0
        assert torch.equal(weights(half)[name], factor * tensor)


def test_a_run_that_is_gone_on_with_is_negated_once(base: Path, run: Run) -> None:
    before = weights(run)
    fitted("task-negation", run.path, TEXTS, load_model(base), epochs=4)
    assert all(torch.equal(one, before[name]) for name, one in weights(run).items())
    assert run.info["makes"] == "edit"


def test_of_pairs_the_rejected_sides_are_learnt_each_once() -> None:
    pairs = [
        Preference("a", (), "dear", "you fool", "t"),
        Preference("b", (), "friend", "you fool", "t"),
        Preference("c", (), "well", None, "t"),
    ]
    found = toxic_side(PairSplit(pairs, pairs[:1]))
    assert [(one.text, one.domain) for one in found.train] == [("you fool", "toxic")]
    assert [one.text for one in found.validation] == ["you fool"]


def test_of_parts_the_toxic_one_is_learnt_where_there_is_one() -> None:
    mild, rude = Text("a", "dear", "t", "mild"), Text("b", "you fool", "t", "toxic")
    assert list(toxic_side(TextSplit([mild, rude], [mild])).train) == [rude]
    assert list(toxic_side(TextSplit([mild], [mild])).train) == [mild]
