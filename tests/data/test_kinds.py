"""The kinds of data that a method can learn from stand in one table."""

from pathlib import Path
from typing import Any, get_args

import pytest

from detoxlab.data.kinds import KINDS, summary
from detoxlab.data.split import KindName, Split
from detoxlab.errors import UnknownNameError
from detoxlab.methods import METHODS
from detoxlab.pipeline.learning import describe_data, read_data
from detoxlab.recipe.learning import Learning, TrainSettings

PAIRS = '{"prompt": "Is it %d?", "chosen": "It may be %d.", "rejected": "You fool, %d."}'
METHOD = {"dialogues": "sft", "pairs": "dpo", "prompts": "rejection", "texts": "sft"}


def given(kind: KindName, folder: Path) -> dict[str, Any]:
    """Settings of that kind whose data are here."""
    if kind == "pairs":
        file = folder / "pairs.jsonl"
        file.write_text("\n".join(PAIRS % (n, n, n) for n in range(20)))
        return {"source": str(file)}
    if kind == "texts":
        return {"parts": {"all": {"source": "embedded", "limit": 40}}}
    return {"source": "embedded", "limit": 40}


def elsewhere(kind: KindName, source: str) -> dict[str, Any]:
    """Settings of that kind with another source."""
    return {"parts": {"all": {"source": source}}} if kind == "texts" else {"source": source}


def test_the_kinds_are_the_fields_of_a_training_and_all_that_methods_name() -> None:
    assert set(KINDS) == set(get_args(KindName))
    for name, kind in KINDS.items():
        assert kind.settings in get_args(Learning.model_fields[name].annotation)
    assert {name for spec in METHODS.values() for name in spec.learns_from} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_read_split_described_and_checked(kind: KindName, tmp_path: Path) -> None:
    one = KINDS[kind]
    settings = one.settings(**given(kind, tmp_path))
    data = one.read(settings, 3)
    if one.split is None:
        assert len(data) == 40
        assert summary(kind, data) == f"40 {kind}"
    else:
        assert type(data) is one.made
        assert isinstance(data, Split)
        size = len(data.train) + len(data.validation)
        assert size == (20 if kind == "pairs" else 40)
        assert len(data.validation) == size // 10
        ids = [item.id for item in (*data.train, *data.validation)]
        assert len(ids) == len(set(ids)) == size
        assert summary(kind, data).startswith(f"{len(data.train)} {kind}, ")
    assert one.check(settings) == []
    described = one.describe(settings)
    files = described["all"]["files"] if kind == "texts" else described["files"]
    assert len(files[0]["sha256"]) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_finds_what_is_elsewhere_and_knows_what_is_nowhere(kind: KindName) -> None:
    one = KINDS[kind]
    assert one.check(one.settings(**elsewhere(kind, "org/data"))) == ["org/data"]
    with pytest.raises(UnknownNameError, match="nonsense"):
        one.check(one.settings(**elsewhere(kind, "nonsense")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_reads_and_records_the_kind_that_it_was_given(
    kind: KindName, tmp_path: Path
) -> None:
    settings = TrainSettings(
        method=METHOD[kind], model="embedded", **{kind: given(kind, tmp_path)}, seed=1
    )
    assert list(settings.sources()) == [kind]
    assert list(describe_data(settings)) == [kind]
    own = KINDS[kind].read(settings.sources()[kind], 1)
    assert read_data(settings, 1) == own
    assert set(settings.run_config({})) & set(KINDS) == {kind}
