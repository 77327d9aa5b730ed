"""The notebook of the docs runs from its first cell to its last, and ends in a verdict."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from detoxlab.runs import Run

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first-evening.ipynb"
VERDICTS = ("improved", "improved, at a cost", "not shown", "worse", "invalid")


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore:Proactor event loop", "ignore::DeprecationWarning")
def test_it_runs_from_a_measurement_to_a_verdict(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [one for cell in notebook.cells for one in cell.get("outputs", ()) if "data" in one]
    (page,) = [
        one.data["text/html"] for one in shown if "<strong>" in one.data.get("text/html", "")
    ]
    assert any(f"<strong>{verdict}</strong>" in page for verdict in VERDICTS)
    assert (tmp_path / "evening" / "report.html").is_file()
    printed = str([cell.get("outputs") for cell in notebook.cells])
    drawn = [
        one.text.strip() for one in Run.open(tmp_path / "evening" / "base").responses().generations
    ]
    assert not [text for text in drawn if len(text) > 9 and text in printed]


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert [
        cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs
    ] == []
