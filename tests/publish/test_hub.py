"""`publish` gives a hub the exported model; refusals are one line without the token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from detoxlab.cli import main
from detoxlab.errors import ConfigError, HubError
from detoxlab.models import load_model
from detoxlab.pipeline import export_model, publish_model
from detoxlab.runs import Run
from tests.support.fake_hub import Hub, running
from tests.support.fine_tuned import trained
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("hub")
    return trained(folder / "ft", load_model(save_tiny(folder / "base")), max_steps=2)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process asks: huggingface_hub reads its variables when it is imported."""
    with running(Hub()) as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", found.token)
        yield found


def test_the_hub_gets_the_exported_model_and_its_card(hub: Hub, run: Run, tmp_path: Path) -> None:
    url = publish_model(run.path, "lab/mild", licence="apache-2.0")
    assert url == f"{hub.url}/lab/mild"
    out = export_model(run.path, tmp_path / "mild", licence="apache-2.0", repo="lab/mild")
    assert hub.repos["lab/mild"].files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert not hub.repos["lab/mild"].private
    assert hub.repos["lab/mild"].commits == 1
    assert load_model(hub.download("lab/mild", tmp_path / "got")).id.startswith("got@")


def test_a_folder_is_uploaded_as_it_is_and_nothing_of_an_earlier_model_is_left(
    hub: Hub, run: Run, tmp_path: Path
) -> None:
    publish_model(run.path, "lab/mild", private=True)
    hub.repos["lab/mild"].files["LICENSE"] = b"mine"
    adapter = export_model(run.path, tmp_path / "adapter", merged=False)
    (adapter / "README.md").write_text("---\nlicense: mit\n---\nMy own words.\n")
    publish_model(adapter, "lab/mild", private=True)
    files = hub.repos["lab/mild"].files
    assert set(files) == {path.name for path in adapter.iterdir()} | {"LICENSE"}
    assert b"My own words" in files["README.md"]
    assert hub.repos["lab/mild"].private


def test_an_adapter_names_its_base_on_the_hub_or_stays_here(hub: Hub, run: Run) -> None:
    with pytest.raises(ConfigError, match="--base-model"):
        publish_model(run.path, "lab/mild", merged=False)
    assert hub.repos == {}
    publish_model(run.path, "lab/mild", merged=False, base_model="lab/base")
    assert (
        b'"base_model_name_or_path": "lab/base"'
        in hub.repos["lab/mild"].files["adapter_config.json"]
    )
    here = str(run.path.parent).encode()
    assert not [name for name, text in hub.repos["lab/mild"].files.items() if here in text]


@pytest.mark.parametrize(
    ("repo", "token", "said"),
    [
        ("lab/mild", "hf_stolen", "does not accept the token"),
        ("others/mild", "hf_secret", "may not write there"),
    ],
)
def test_a_refusal_is_one_line_before_any_work_and_names_no_token(
    hub: Hub,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    repo: str,
    token: str,
    said: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(SystemExit) as stop:
        main(["publish", str(run.path), repo])
    out, err = capfd.readouterr()
    assert stop.value.code == 1
    assert [line for line in err.splitlines() if said in line] == err.splitlines()[-1:]
    assert "Traceback" not in err
    assert token not in out + err
    assert hub.repos == {}


def test_what_is_public_is_not_taken_for_private(hub: Hub, run: Run) -> None:
    publish_model(run.path, "lab/mild")
    with pytest.raises(HubError, match="is there, and public"):
        publish_model(run.path, "lab/mild", private=True)
    assert hub.repos["lab/mild"].commits == 1


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_is_named_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="not reached"):
        publish_model(run.path, "lab/mild")


def test_without_a_token_or_offline_nothing_is_asked(
    hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE"):
        publish_model(run.path, "lab/mild")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="hf auth login"):
        publish_model(run.path, "lab/mild")
    assert hub.repos == {}


@pytest.mark.parametrize("repo", ["mild", "lab/mild/x", "lab/", "lab/a b", "../mild"])
def test_an_id_needs_an_owner_and_a_name(run: Run, repo: str) -> None:
    with pytest.raises(ConfigError, match="Write it as org/name"):
        publish_model(run.path, repo)


def test_a_dry_run_shows_the_card_and_asks_nobody(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["publish", str(run.path), "lab/mild", "--private", "--dry-run", "--licence", "mit"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "would upload the merged model of" in shown
    assert "to lab/mild (private)" in shown
    assert "license: mit" in shown
    assert "## Limits" in shown


def test_only_a_run_or_a_model_with_a_card_can_be_published(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match="no model with a card"):
        publish_model(tmp_path, "lab/mild")
    with pytest.raises(FileNotFoundError, match="no such run or folder"):
        publish_model(tmp_path / "none", "lab/mild")
