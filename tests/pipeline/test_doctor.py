"""`detoxlab doctor`: looks without loading, and says in a sentence whether all is there."""

from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.pipeline import doctor
from detoxlab.pipeline.doctor import IN_THE_PACKAGE, checks


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    return int(stop.value.code or 0), capsys.readouterr().out


def test_a_thorough_look_tries_what_a_quick_one_finds() -> None:
    quick = {one.name: one for one in checks()}
    tried = {one.name: one for one in checks(thorough=True)}
    assert tried.keys() - quick.keys() == {"bfloat16"}
    assert all(quick[name].finding == "in the package" for name in IN_THE_PACKAGE)
    assert all("@" in tried[name].finding for name in IN_THE_PACKAGE)


def test_the_last_line_says_whether_it_is_ready(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, page = printed(capsys)
    assert (code, page.splitlines()[-1]) == (0, "ready: all that detoxlab needs is there")
    monkeypatch.setattr(doctor, "ASSETS", tmp_path)
    code, page = printed(capsys)
    assert code == 1
    assert "scorer 'rtp-neural': rtp-neural/model.safetensors is not there" in page
    assert page.splitlines()[-1].startswith("not ready: repair model 'embedded', scorer")
