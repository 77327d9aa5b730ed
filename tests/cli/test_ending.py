"""The end of `measure`: headline, warnings and a next command that can be copied as it is."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from detoxlab.cli import app, main
from detoxlab.cli.common.ending import ending_of, headline_line, next_command, warnings_in
from detoxlab.measures.catalogue import MEASURES
from detoxlab.methods.loop.log import TrainLog
from detoxlab.records import Measurement
from detoxlab.runs import Run
from tests.support.measured_runs import measured

EMBEDDED = Path("embedded")
BENCH = (
    "--protocol let-the-models-respond --prompts embedded --where kind=neutral --limit 20 "
    "--max-new-tokens 4 --judge rtp-linear --second none --resamples 100 --set encoder=null"
)
HALF_SCORED = Measurement(
    "toxic_fraction",
    0.5,
    0.4,
    0.6,
    coverage=0.6,
    bound_low=0.3,
    bound_high=0.7,
    scorer_id="a@1",
)


def plain(line: str) -> str:
    return line.replace("\xa0", " ")


def test_the_headline_has_bounds_where_responses_are_unscored() -> None:
    assert plain(headline_line(HALF_SCORED)) == (
        "toxic responses by a@1: 50.0 % (95 % interval 40.0 to 60.0 %), with 60.0 % scored: 30.0 "
        "to 70.0 % if the others were all harmless or all toxic"
    )
    assert plain(headline_line(replace(HALF_SCORED, coverage=1.0))) == (
        "toxic responses by a@1: 50.0 % (95 % interval 40.0 to 60.0 %), with all responses scored"
    )
    assert "unknown" in headline_line(replace(HALF_SCORED, value=None))
    assert "unknown" in headline_line(None)


def test_warnings_are_those_beyond_the_alarm() -> None:
    rows = [
        Measurement("coverage", 0.6, scorer_id="a@1", direction="higher"),
        Measurement("coverage", 1.0, scorer_id="b@1", direction="higher"),
        Measurement("capped", 1.0),
        Measurement("empty", 0.04),
        Measurement("refusals", None),
        Measurement("words", 9.0, unit="words"),
    ]
    assert list(map(plain, warnings_in(rows))) == [
        "responses scored by a@1: 60.0 %",
        "ended at the token cap: 100.0 %",
    ]


@pytest.mark.parametrize("name", [one.name for one in MEASURES.values() if one.alarm is not None])
def test_an_alarm_is_at_its_limit_and_on_the_bad_side(name: str) -> None:
    measure = MEASURES[name]
    assert measure.alarm is not None
    assert measure.alarms(measure.alarm)
    assert measure.alarms(measure.alarm + 0.01 * measure.bad_sign)
    assert not measure.alarms(measure.alarm - 0.01 * measure.bad_sign)


def test_measure_ends_with_three_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["measure", "embedded", *shlex.split(BENCH), "--out", "runs/base"])
    assert not stop.value.code
    *table, headline, warnings, following = plain(capsys.readouterr().out).splitlines()
    row = next(one for one in table if one.startswith("toxic_fraction"))
    value = row.split()[2]
    assert headline.startswith(f"toxic responses by rtp-linear@1: {value} % (95 % interval ")
    assert warnings.startswith("warnings: ended at the token cap: 100.0 %")
    assert following == (
        "next: detoxlab train sft embedded --out runs/sft && "
        f"detoxlab measure runs/sft {BENCH} --out runs/sft-measured"
    )


def test_all_rows_on_demand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pages = []
    for more in ([], ["--resume", "--all"]):
        with pytest.raises(SystemExit):
            main(["measure", "embedded", *shlex.split(BENCH), "--out", "runs/base", *more])
        pages.append(capsys.readouterr().out)
    rows = [one for one in Run.open("runs/base").measurements() if one.subset in (None, "P")]
    short, whole = pages
    assert "level_low" not in short
    assert "further measurements: --all" in short
    assert all(one.name in whole for one in rows)
    assert "further measurements" not in whole


def test_a_treated_model_is_compared_with_its_base_on_the_same_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")
    treated = measured(EMBEDDED, runs / "kind one", system="Be kind.")
    assert next_command(treated) == f"detoxlab measure embedded {BENCH} --out runs/base"
    measured(EMBEDDED, runs / "other", seed=1)
    assert next_command(treated).startswith("detoxlab measure embedded ")
    base = measured(EMBEDDED, runs / "base")
    assert next_command(treated) == "detoxlab compare runs/base 'runs/kind one'"
    assert next_command(base) == "detoxlab compare runs/base 'runs/kind one'"
    assert ending_of(base).next == next_command(base)


def test_training_is_followed_by_measuring_on_the_bench_of_the_base(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    measured(EMBEDDED, Path("runs/base"))
    with pytest.raises(SystemExit):
        main(shlex.split("train sft embedded --set max_steps=1 --limit 40 --out runs/ft"))
    said = capsys.readouterr()
    following = said.out.splitlines()[-1]
    assert following == f"next: detoxlab measure runs/ft {BENCH} --out runs/ft-measured"
    _, name, *arguments = shlex.split(following.removeprefix("next: "))
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)
    losses = [row["loss"] for row in TrainLog(Path("runs/ft")).rows() if "loss" in row]
    assert f"loss {losses[-1]:.3f}\n" in said.err
