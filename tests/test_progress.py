"""Long work tells of itself: at once, once a minute without a terminal, and with its loss."""

import io
import subprocess
import sys
import time

import pytest

from detoxlab.progress import Pace, progress

FIRST = """
import sys
from detoxlab.cli import main
from detoxlab.cli.common import arguments

def told(line):
    print(line)
    sys.exit("torch is loaded" if "torch" in sys.modules else 0)

arguments.say = told
main({arguments!r})
"""


def test_steps_that_were_there_do_not_make_the_rest_look_quick() -> None:
    """100 of 200 are found done; then 10 take 20 seconds, so the 90 others take 180."""
    pace = Pace("generate", total=200, started=0.0)
    for _ in range(10):
        pace.advance(10, now=0.0)
    assert pace.seconds_left(now=5.0) is None
    pace.advance(10, now=20.0)
    assert pace.seconds_left(now=20.0) == pytest.approx(180.0)
    assert pace.line(now=20.0) == "generate: 110 of 200, 3 min left"


def test_a_note_alone_counts_no_step_and_keeps_the_pace() -> None:
    pace = Pace("training", total=10, started=0.0)
    pace.advance(1, now=7.0)
    pace.advance(0, now=7.0, note="loss 2.052")
    assert pace.line(now=7.0) == "training: 1 of 10, 1 min left, loss 2.052"
    assert pace.last_line(now=70.0) == "training: done in 1 min, loss 2.052"


def test_without_a_terminal_lines_come_while_a_step_is_not_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = ""
    with progress("generate", 4, every=0.01) as advance:
        advance(1)
        while told.count("generate: 1 of 4") < 2:
            time.sleep(0.005)
            told += capsys.readouterr().err
    assert told.startswith("generate: 4 to do\n")
    assert capsys.readouterr().err.endswith("generate: done in 0 s\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_loss_stands_beside_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress("training", 4) as advance:
        advance(1)
        advance(0, "loss 2.052, reward 0.700")
        advance(3)
    shown = screen.getvalue()
    assert "training" in shown
    assert "4/4" in shown
    assert "loss 2.052, reward 0.700" in shown


def test_a_line_is_written_at_once() -> None:
    """Also into a pipe, where Python would keep it until there are more."""
    code = "import os; from detoxlab.progress import say; say('here'); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "here\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("measure embedded --out runs/a", "measure embedded, into runs/a"),
        ("score answers.csv --out runs/a", "score answers.csv, into runs/a"),
        ("train sft embedded --out runs/a", "train sft from embedded, into runs/a"),
        ("train scorer hate-neural --out runs/a", "train scorer, into runs/a"),
        ("evaluate runs/a perplexity", "evaluate runs/a"),
        ("winrate runs/a runs/b --judge embedded --out w", "winrate, into w"),
        ("sweep runs/a --cost a=a.txt --budget a=1.2 --out s", "sweep runs/a, into s"),
        ("explain runs/a runs/b --out e", "explain runs/a, runs/b, into e"),
        ("audit rtp-neural --data sets --out a", "audit rtp-neural, into a"),
        ("compare runs/a runs/b", "compare runs/a, runs/b"),
        ("report runs/a -o r.html", "report on runs/a, into r.html"),
        ("export runs/a -o m", "export runs/a, into m"),
        ("run recipe.yaml --out e", "run recipe, into e"),
        ("demo", "run demo, into demo"),
    ],
)
def test_the_first_line_comes_before_torch(arguments: str, told: str) -> None:
    code = FIRST.format(arguments=arguments.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(told)
    assert "loading takes a moment" in done.stdout
