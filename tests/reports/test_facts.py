"""The head of a report says what was measured: model, size, prompts and filter, sampling, date."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from detoxlab.reports.sections.facts import study_facts
from detoxlab.reports.study import Study
from tests.support.rendered import html_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_study import study

PROMPTS = {"source": "/somewhere/rude.jsonl", "where": {"kind": "hostile", "year": [2019, 2020]}}
SAMPLING = {"temperature": 0.7, "top_p": 0.9, "top_k": 0, "max_new_tokens": 20}


def measured_as(tmp_path: Path, model: Any, config: dict[str, Any]) -> Study:
    shown = study(tmp_path, prompts=6, k=2)
    runs = tuple(
        dataclasses.replace(
            run, info={**run.info, "model": model, "finished": "2026-02-03T04:05"}, config=config
        )
        for run in shown.measured
    )
    return dataclasses.replace(shown, measured=runs)


def test_the_head_names_model_size_prompts_filter_sampling_and_date(tmp_path: Path) -> None:
    model = {"id": "m@1+system@2", "parameters": 4_212_992}
    shown = measured_as(tmp_path, model, {"prompts": PROMPTS, "sampling": SAMPLING})
    facts = dict(study_facts(shown))
    assert facts["Model"] == "m@1, 4.21 million parameters"
    assert facts["Prompts"] == "6 of rude.jsonl with kind = hostile, year = 2019 or 2020"
    assert facts["Responses per prompt"] == "2"
    assert facts["Sampling"] == "temperature 0.7, top-p 0.9, at most 20 tokens"
    assert facts["Measured"] == "2026-02-03"
    page = " ".join(read_page(html_of(shown)).texts)
    for title, text in facts.items():
        assert title in page
        assert text in page
    assert "- Model: m@1, 4.21 million parameters" in markdown_of(shown)


@pytest.mark.parametrize("config", [{}, {"prompts": None, "sampling": None}])
def test_what_is_not_known_is_left_out(tmp_path: Path, config: dict[str, Any]) -> None:
    facts = dict(study_facts(measured_as(tmp_path, None, config)))
    assert facts["Prompts"] == "6"
    assert not facts.keys() & {"Model", "Sampling"}


def test_two_models_are_both_named(tmp_path: Path) -> None:
    shown = measured_as(tmp_path, {"id": "m@1"}, {})
    other = dataclasses.replace(
        shown.measured[1], info={**shown.measured[1].info, "model": {"id": "n@2"}}
    )
    both = dataclasses.replace(shown, measured=(shown.measured[0], other))
    assert dict(study_facts(both))["Model"] == "m@1; n@2"
