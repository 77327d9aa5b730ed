"""`detoxlab audit`: the files it writes, absent sets, interruption, and the cards it stores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detoxlab import audit
from detoxlab.audits.card import load_card, read_card
from detoxlab.cli import main
from detoxlab.errors import ConfigError, DataError, MissingFileError, UnknownNameError
from detoxlab.pipeline.auditing import audit_scorers
from detoxlab.recipe.auditing import AuditSettings
from detoxlab.reports.audited import read_audits
from detoxlab.settings import parse
from tests.support import shouting
from tests.support.audited import write_sets
from tests.support.documented import documented
from tests.support.shouting import NAME, Shouting

PRESENT = {"hatecheck", "perspective", "toxigen", "multitarget-conan", "length", "perturbations"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "sets")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    shouting.register(monkeypatch)


def settings(data: Path, *scorers: str, **given: Any) -> AuditSettings:
    asked = {"scorers": scorers or (NAME,), "data": str(data), "resamples": 100} | given
    return parse(AuditSettings, asked, place="audit")


def test_two_scorers_stand_side_by_side_in_three_formats(data: Path, tmp_path: Path) -> None:
    run = audit_scorers(settings(data, NAME, "rtp-linear"), tmp_path / "out")
    loud, linear = read_audits(run.path)
    assert (loud.scorer_id, linear.scorer_id) == ("shouting@1", "rtp-linear@1")
    assert {one.key for one in loud.sections} == PRESENT | {"batch", "throughput"}
    assert "dghs" in {one.key for one in loud.absent}
    assert loud.figure("hatecheck", "denouncements_marked").value == 1  # type: ignore[union-attr]
    text = (run.path / "audit.md").read_text()
    assert "shouting@1" in text
    assert "rtp-linear@1" in text
    assert "Absent: dghs: no dynbert" in text
    assert str(tmp_path) not in text + (run.path / "audit.json").read_text()
    assert (run.path / "audit.html").stat().st_size > 1_000_000
    assert run.info["status"] == "finished"


def test_python_takes_the_same_settings_as_keywords(data: Path, tmp_path: Path) -> None:
    run = audit(NAME, data=data, out=tmp_path / "out", sections=("hatecheck",), resamples=100)
    (found,) = read_audits(run.path)
    assert (found.scorer_id, found.resamples) == ("shouting@1", 100)
    with pytest.raises(ConfigError, match="unknown key 'section'"):
        audit(NAME, data=data, out=tmp_path / "other", section="hatecheck")


def test_no_text_of_a_set_is_in_the_files(data: Path, tmp_path: Path) -> None:
    run = audit_scorers(settings(data), tmp_path / "out")
    for file in run.path.rglob("*.*"):
        assert "YOU FOOL" not in file.read_text()


class Stopped(Shouting):
    """It is interrupted while it scores the statements of ToxiGen, the third set."""

    seen: list[str] = []  # noqa: RUF012
    stop = True

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if self.stop and len(self.seen) >= 12 + 16:
            raise KeyboardInterrupt
        self.seen.extend(texts)
        return super().__call__(texts)


def test_an_interrupted_audit_goes_on_and_scores_no_finished_set_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detoxlab.scorers import loading

    asked = settings(data, sections=("hatecheck", "perspective", "toxigen"))
    whole = audit_scorers(asked, tmp_path / "whole")
    monkeypatch.setitem(loading.SCORERS, NAME, Stopped)
    with pytest.raises(KeyboardInterrupt):
        audit_scorers(asked, tmp_path / "out")
    monkeypatch.setattr(Stopped, "stop", False)
    monkeypatch.setattr(Stopped, "seen", [])
    run = audit_scorers(asked, tmp_path / "out", resume=True)
    assert len(Stopped.seen) == 12  # ToxiGen's statements alone
    assert (run.path / "audit.json").read_bytes() == (whole.path / "audit.json").read_bytes()


def test_scores_come_from_the_cache_the_second_time(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detoxlab.scorers import loading

    monkeypatch.setitem(loading.SCORERS, NAME, Stopped)
    monkeypatch.setattr(loading, "UNCACHED", frozenset())
    monkeypatch.setattr(Stopped, "stop", False)
    monkeypatch.setattr(Stopped, "seen", [])
    asked = settings(data, sections=("hatecheck",))
    audit_scorers(asked, tmp_path / "one")
    assert len(Stopped.seen) == 12
    audit_scorers(asked, tmp_path / "two")
    assert len(Stopped.seen) == 12


def test_unscored_texts_are_counted_and_bounded(data: Path, tmp_path: Path) -> None:
    cases = data / "test_suite_cases.csv"
    cases.write_text(cases.read_text().replace("a quiet day 3", "тихий день"))
    run = audit_scorers(settings(data, "rtp-linear", sections=("hatecheck",)), tmp_path / "out")
    (audit,) = read_audits(run.path)
    section = audit.section("hatecheck")
    assert section is not None
    assert (section.texts, section.unscored) == (12, 1)
    neutral = audit.figure("hatecheck", "neutral_marked")
    assert neutral is not None
    assert (neutral.value, neutral.n, neutral.bound_low, neutral.bound_high) == (0, 4, 0, 0.2)
    assert "0.0 to 20.0" in (run.path / "audit.md").read_text()


def test_only_a_whole_audit_becomes_a_card(data: Path, tmp_path: Path) -> None:
    audit_scorers(settings(data, limit=4), tmp_path / "part")
    audit_scorers(settings(data, sections=("toxigen",)), tmp_path / "section")
    audit_scorers(settings(data, threshold=0.7), tmp_path / "threshold")
    assert load_card("shouting@1") is None
    run = audit_scorers(settings(data), tmp_path / "whole")
    assert load_card("shouting@1") == read_audits(run.path)[0]
    assert load_card("shouting@1", "digits") is None


def test_a_card_is_not_replaced_by_one_with_fewer_sections(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = read_audits(audit_scorers(settings(data), tmp_path / "whole").path)[0]
    (data / "Multitarget-CONAN.csv").unlink()
    audit_scorers(settings(data), tmp_path / "less")
    assert load_card("shouting@1") == first
    assert "shouting@1: its card stays as it is, for it also has multitarget-conan" in (
        capsys.readouterr().err
    )


def test_a_card_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({"scorer_id": "given@1"}))
    with pytest.raises(DataError, match=r"card\.json: not a Audit: field 'attribute' is missing"):
        read_card(path)


def test_other_attributes_and_thresholds_are_audited_on_demand(data: Path, tmp_path: Path) -> None:
    asked = settings(
        data, attributes=("toxicity", "digits"), threshold=0.95, sections=("hatecheck",)
    )
    loud, digits = read_audits(audit_scorers(asked, tmp_path / "out").path)
    assert (loud.attribute, digits.attribute) == ("toxicity", "digits")
    assert loud.figure("hatecheck", "denouncements_marked").value == 0  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="has no attribute hate"):
        audit_scorers(settings(data, attributes=("hate",)), tmp_path / "none")


def test_wrong_settings_are_refused_before_anything_is_loaded(data: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder"):
        audit_scorers(settings(tmp_path / "nowhere"), tmp_path / "out")
    with pytest.raises(UnknownNameError, match="rtp-liner"):
        audit_scorers(settings(data, "rtp-liner"), tmp_path / "out")
    with pytest.raises(ConfigError, match="hatechek"):
        settings(data, sections=("hatechek",))
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main_ends(["audit", NAME, "--data", str(data), "--out", str(tmp_path / "out"), "--dry-run"])
    said = capsys.readouterr()
    assert "would audit shouting on hatecheck, perspective, toxigen" in said.out
    assert said.out.strip().endswith("perturbations, batch, throughput")
    assert "absent: dghs (no dynbert_test.txt* in the folder of the data)" in said.err
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_main_figures(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = ("--section", "hatecheck", "--section", "batch", "--resamples", "100")
    main_ends(["audit", NAME, "--data", str(data), "--out", str(tmp_path / "out"), *sections])
    said = capsys.readouterr().out
    assert "HateCheck, denouncements marked" in said
    assert "100.0\N{NO-BREAK SPACE}%" in said
    assert "audit.html" in said
    again = (*sections, "--resume", "--json")
    main_ends(["audit", NAME, "--data", str(data), "--out", str(tmp_path / "out"), *again])
    content = json.loads(capsys.readouterr().out)
    assert content.keys() == documented()["audit"]
    assert len(content["audits"]) == 1


def main_ends(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert not stop.value.code
