"""The printed options of a bench ask exactly what the run was asked."""

import shlex
from pathlib import Path

import pytest
import typer

from detoxlab.cli import app
from detoxlab.cli.common.benches import OF_THE_MODEL, bench_of, bench_options
from tests.support.measured_runs import measured
from tests.support.options import settings_of

BENCHES = [
    "",
    "--protocol rtp --prompts rtp --prompts-path p.jsonl --column text='Utterance (raw)'",
    "--prompts embedded --where kind=hostile --protocol let-the-models-respond --k 5",
    "--protocol dexperts --limit 100 --chat yes",
    "--protocol xstest --chat no",
    "--protocol let-the-models-respond --where toxicity=0.25:",
    "--prompts my.jsonl --skip-nulls --judge rtp-linear --second none --hate none",
    "--scorer rtp-linear --scorer 'max(rtp-neural, human-neural)' --seed 3 --resamples 200",
    "--prompts a.csv --dtype float16 --quantisation '{kind: nf4, double: false}'",
    "--prompts a.csv --template-date 2026-01-31 --template-option enable_thinking=false",
    "--set sampling.temperature=0.5 --set sampling.stop='[\"\\n\", x]' --set encoder=null",
    "--prompts a.csv --set prompts.exclude='{source: b.csv, limit: 3}' --template-option a=1",
    "--set endpoint=http://localhost:1/v1 --set prompts.deduplicate=true",
    "--endpoint http://a/v1,http://b/v1 --endpoint http://c:1/v1 --api-key-env SOME_KEY",
    "--steer nado:runs/x --strength 0.5 --system 'Be kind.' --best-of 4 --by rtp-linear --base b",
]


@pytest.mark.parametrize("options", BENCHES)
def test_the_printed_options_make_the_same_bench(options: str) -> None:
    asked = settings_of(options)
    again = settings_of(bench_options(asked))
    left_out = {name: getattr(asked, name) for name in (*OF_THE_MODEL, "batch_size", "device")}
    assert again.model_copy(update=left_out) == asked


def test_no_treatment_is_part_of_a_bench() -> None:
    plain = settings_of("--k 3")
    steered = settings_of("--k 3 --steer nado:runs/x --system Hi --best-of 2 --by rtp-linear")
    assert bench_options(plain) == bench_options(steered)


def test_a_bench_is_read_from_a_run(tmp_path: Path) -> None:
    run = measured(Path("embedded"), tmp_path / "run", sampling={"max_new_tokens": 4, "k": 2})
    options = bench_of(run)
    assert options == (
        "--protocol let-the-models-respond --prompts embedded --where kind=neutral --limit 20 "
        "--k 2 --max-new-tokens 4 --judge rtp-linear --second none --resamples 100 "
        "--set encoder=null"
    )
    command = typer.main.get_command(app).commands["measure"]
    command.make_context("measure", ["m", *shlex.split(options), "--out", "r"])
