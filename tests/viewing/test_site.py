"""The pages by path and query: state in the URL, results of the background, hostile input."""

import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.pipeline.comparing import compare_runs
from detoxlab.records import Comparison, to_json
from detoxlab.viewing import serving
from detoxlab.viewing.folders import Place
from detoxlab.viewing.query import ListQuery, RowsQuery
from detoxlab.viewing.rows.index import Index
from detoxlab.viewing.server import ViewServer
from detoxlab.viewing.site import Site
from detoxlab.viewing.store import Failed, Store, Working, stored_comparison
from tests.support.hostile import HOSTILE
from tests.support.report_page import read_page
from tests.support.report_study import comparison, measured_run

PATIENT = 240.0


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for seed, (name, level) in enumerate((("base", 0.4), ("ft", 0.1), ("sweep/half", 0.2))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        measured_run(folder / name, level=level, prompts=20, k=2, seed=seed, missing=0.0)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "cache", patience=PATIENT)
    yield made
    made.close()


@pytest.fixture
def site(runs: Path, store: Store) -> Site:
    return Site(runs, store)


def listed(site: Site, query: str = "") -> list[str]:
    page = read_page(site.answer("/live/runs", query).html)
    return [row for row in (text.strip() for text in page.texts) if row in NAMES]


NAMES = {"base", "ft", "sweep/half", "bad", "half-written", "later"}


# --- the state in the URL ---


@pytest.mark.parametrize(
    "state",
    [
        RowsQuery(
            run="a/b", baseline="c d", moved="up", guard="empty", group="é&", low=0.25, page=3
        ),
        RowsQuery(text="50 % of <b>", order="rise", high=1.0),
        ListQuery(kind="measure", status="problem", sort="toxic", down=True, text="x"),
        ListQuery(),
    ],
)
def test_a_state_is_read_back_from_its_url(state: RowsQuery | ListQuery) -> None:
    assert type(state).of(urlsplit(state.url("/run")).query) == state


@pytest.mark.parametrize(
    "query",
    [
        "page=0&low=nan&high=inf&moved=sideways&order=;drop",
        "page=-1&low=&high=x&page=99999999999",
        "page=1.5&nothing=1&&&=&%00",
    ],
)
def test_what_is_not_valid_is_as_if_it_were_not_there(query: str) -> None:
    assert RowsQuery.of(query) == RowsQuery()


# --- the list ---


def test_runs_are_filtered_and_sorted_by_the_url(site: Site) -> None:
    assert listed(site) == ["base", "ft", "sweep/half"]
    assert listed(site, "sort=toxic") == ["ft", "sweep/half", "base"]
    assert listed(site, "sort=toxic&down=1") == ["base", "sweep/half", "ft"]
    assert listed(site, "text=SWEEP") == ["sweep/half"]
    assert listed(site, "status=running") == []


def test_new_runs_appear_and_bad_ones_say_what_is_wrong(site: Site, runs: Path) -> None:
    site.answer("/", "")
    measured_run(runs / "later", level=0.3, prompts=2, k=1)
    (runs / "bad").mkdir()
    (runs / "bad" / "run.json").write_text('{"telltale')
    (runs / "half-written" / "generations").mkdir(parents=True)
    (runs / "ft" / "measurements.json").write_text("[1]")
    assert listed(site) == ["bad", "base", "ft", "half-written", "later", "sweep/half"]
    html = site.answer("/", "status=problem").html
    assert "bad/run.json:1: not valid JSON" in html
    assert "half-written/run.json: no such file" in html
    assert "not a Measurement" in html
    assert "telltale" not in html
    assert str(runs) not in html
    for name in ("bad", "half-written", "ft"):
        assert site.answer("/run", f"run={name}").status == 200


@pytest.mark.parametrize(
    "content",
    ["[]", "null", '{"kind": [1], "judge_id": 3, "model": "x", "status": {}}', "[" * 5000],
)
def test_any_run_json_is_listed(site: Site, runs: Path, content: str) -> None:
    (runs / "base" / "run.json").write_text(content)
    assert "base" in listed(site)
    assert site.answer("/run", "run=base").status == 200


def test_a_pinned_run_stays_pinned_in_every_link(site: Site) -> None:
    page = read_page(site.answer("/", "baseline=base").html)
    links = [given["href"] or "" for tag, given in page.tags if tag == "a" and given.get("href")]
    opened = [link for link in links if link.startswith("/run")]
    assert "/run?baseline=base&run=ft" in opened
    assert all("baseline=base" in link for link in opened if "run=base" not in link)


# --- rows ---


def test_a_page_shows_its_rows_and_the_next_ones_follow(site: Site) -> None:
    first, second = (site.answer("/run", f"run=ft&page={page}").html for page in (1, 2))
    assert "1 to 25 of <b>40</b>" in " ".join(first.split())
    assert "26 to 40 of <b>40</b>" in " ".join(second.split())
    assert first.count('<article class="example"') == 25
    assert second.count('<article class="example"') == 15
    assert "26 to 40" in site.answer("/run", "run=ft&page=999").html


def test_a_text_is_found_whatever_its_case(runs: Path, store: Store) -> None:
    measured_run(runs / "one", level=0.3, prompts=5, k=1, texts={3: "A Telltale WORD"})
    html = Site(runs, store).answer("/run", "run=one&text=telltale word").html
    assert "1 to 1 of <b>1</b>" in " ".join(html.split())
    assert "A Telltale WORD" in html


def test_a_run_that_grew_is_read_anew(runs: Path, store: Store) -> None:
    place = Place(runs.resolve(), "ft")
    before = store.index(place)
    path = place.files("generations")[0]
    line = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as handle:
        handle.write(json.dumps(line | {"sample": 5}) + "\n")
    after = store.index(place)
    assert isinstance(before, Index)
    assert isinstance(after, Index)
    assert (len(before), len(after)) == (40, 41)


def test_while_a_grown_run_is_read_the_index_before_is_shown(runs: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", patience=PATIENT)
    place = Place(runs.resolve(), "ft")
    before = store.index(place)
    os.utime(place.path / "prompts.jsonl", (1, 1))
    store.patience = 0.0
    assert store.index(place) is before
    store.close()


# --- the background ---


@pytest.mark.slow
def test_the_verdict_is_that_of_compare_and_is_kept(runs: Path, tmp_path: Path) -> None:
    places = [Place(runs.resolve(), name) for name in ("base", "ft")]
    store = Store(tmp_path / "cache", patience=PATIENT)
    found = store.comparison(*places)
    assert isinstance(found, Comparison)
    assert to_json(found) == json.loads(
        json.dumps(to_json(compare_runs(*(p.path for p in places))))
    )
    store.close()
    again = Store(tmp_path / "cache", patience=0.0)
    assert again.known_comparison(*places) == found
    assert f"{found.verdict}</span>" in Site(runs, again).answer("/", "baseline=base").html
    again.close()


@pytest.mark.slow
def test_runs_that_cannot_be_compared_say_why(runs: Path, store: Store) -> None:
    measured_run(runs / "other", level=0.3, prompts=20, k=1)
    html = Site(runs, store).answer("/run", "run=other&baseline=base").html
    assert "drawn with k = 2" in html


@pytest.mark.slow
def test_a_guard_is_looked_for_in_all_responses(runs: Path, store: Store) -> None:
    measured_run(runs / "one", level=0.3, prompts=40, k=1, texts={37: ""})
    html = Site(runs, store).answer("/run", "run=one&guard=empty").html
    assert "1 to 1 of <b>1</b>" in " ".join(html.split())
    assert "p37" in html


def test_the_verdict_of_a_recipe_is_taken_until_a_run_changes(runs: Path) -> None:
    base, ft = (Place(runs.resolve(), name) for name in ("base", "ft"))
    written = comparison("ft")
    (runs / "comparisons.json").write_text(json.dumps([to_json(written)]))
    assert stored_comparison(base, ft) == written
    assert stored_comparison(ft, base) is None
    later = time.time() + 5
    os.utime(ft.path / "run.json", (later, later))
    assert stored_comparison(base, ft) is None


def test_a_result_that_takes_long_is_asked_for_again(runs: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", patience=0.0)
    place = Place(runs.resolve(), "ft")
    assert isinstance(store.guards(place), Working | Failed)
    html = Site(runs, store).answer("/run", "run=ft&baseline=base").html
    assert "/live/verdict?baseline=base&amp;run=ft" in html
    store.close()


def test_kept_files_lie_outside_of_the_runs(runs: Path, store: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    Site(runs, store).answer("/run", "run=ft&baseline=base&moved=up")
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


# --- hostile input ---


def test_keys_are_looked_up_and_never_paths(site: Site, tmp_path: Path) -> None:
    measured_run(tmp_path / "outside", level=0.3, prompts=2, k=1)
    for key in ("../outside", "..%2Foutside", "/etc", "base/../../outside", "base/", "", "%00"):
        for path in ("/run", "/live/rows", "/live/verdict"):
            assert site.answer(path, f"run={key}").status == 404, key
    assert site.answer("/etc/passwd", "").status == 404


def test_texts_and_names_do_nothing(tmp_path: Path, store: Store) -> None:
    texts = dict.fromkeys(range(4), HOSTILE.replace("\ud800", ""))
    folder = tmp_path / "runs"
    run = measured_run(folder / "<img src=x onerror=a>", level=0.3, prompts=4, k=1, texts=texts)
    run.update(model={"id": texts[0]}, status=texts[0], kind=texts[0])
    made = Site(folder, store)
    for path, query in (
        ("/", f"text={HOSTILE[:40]}"),
        ("/run", RowsQuery(run=run.path.name).url("")[1:]),
    ):
        page = read_page(made.answer(path, query).html)
        assert not [tag for tag, _ in page.tags if tag in ("img", "svg", "textarea", "iframe")]
        assert len(page.scripts) == 1
        assert not [name for _, given in page.tags for name in given if name.startswith("on")]


# --- the server ---


@pytest.fixture
def server(runs: Path, tmp_path: Path) -> Iterator[ViewServer]:
    with serving(runs, port=0, cache=tmp_path / "served") as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(
    server: ViewServer, path: str = "/", host: str | None = None, method: str = "GET"
) -> http.client.HTTPResponse:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENT)
    connection.request(method, path, headers={"Host": host} if host else {})
    return connection.getresponse()


@pytest.mark.enable_socket
def test_it_answers_under_its_own_names_alone(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    port = server.server_address[1]
    for host in (None, f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80"):
        assert ask(server, host=host).status == 200
    for host in (
        "evil.example",
        f"localhost.evil.example:{port}",
        "127.0.0.1@evil.example",
        "x:y:z",
    ):
        answer = ask(server, host=host)
        assert answer.status == 421
        assert b"base" not in answer.read()


@pytest.mark.enable_socket
def test_it_lets_only_its_own_script_run_and_answers_get_and_head(server: ViewServer) -> None:
    answer = ask(server)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.read()) == int(answer.headers["Content-Length"])
    assert ask(server, method="HEAD").read() == b""
    assert [ask(server, method=method).status for method in ("POST", "PUT", "DELETE")] == [501] * 3
    assert ask(server, "/../../etc/passwd").status == 404
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.enable_socket
def test_a_taken_port_and_an_absent_folder_are_errors_with_a_remedy(
    server: ViewServer, tmp_path: Path
) -> None:
    with (
        pytest.raises(ConfigError, match="--port"),
        serving(tmp_path, port=server.server_address[1]),
    ):
        pass
    with pytest.raises(MissingFileError, match="no such folder"), serving(tmp_path / "nowhere"):
        pass
