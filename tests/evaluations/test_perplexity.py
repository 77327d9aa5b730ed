"""Perplexity of running text: every token once, in its window, and by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from detoxlab.data.documents import load_documents
from detoxlab.errors import ConfigError, DataError, RunMismatchError
from detoxlab.evaluations import Perplexity, evaluate_into, load_evaluation, read_evaluated
from detoxlab.evaluations.perplexity import windows
from detoxlab.models import load_model, token_log_probs
from detoxlab.records import ItemResult
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.tabular import LENGTH, VOCABULARY, Tabular
from tests.support.tiny import tiny_lm

LINES = ["so what", "a quiet day in the park, and a long way home", "so what", "no", "say it"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("\n \n".join(LINES))
    return file


def started(path: Path) -> Run:
    return Run.start(path, kind="evaluate", config={}, resume=True)


# --- windows ---


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize(("max_length", "stride"), [(8, 4), (8, 1), (8, 7), (2, 1), (7, 3)])
def test_every_token_is_predicted_once_and_sees_enough(
    length: int, max_length: int, stride: int
) -> None:
    found = windows(length, max_length, stride)
    predicted = [at for window in found for at in range(window.start, window.stop)]
    assert predicted == list(range(1, length))
    for window in found:
        assert window.stop - window.context <= max_length
        for at in range(window.start, window.stop):
            assert at - window.context >= min(at, max_length - stride)


class Table:
    """The tabular model as a subject: token ids 1 to 5 after the opening 0."""

    def __init__(self, table: Tabular) -> None:
        self.table = table
        self.lm = self
        self.id = "table"
        self.context_length = LENGTH + 1

    def prompt_ids(self, text: str, chat: bool) -> list[int]:
        assert (text, chat) == ("", False)
        return [0]

    def tokenizer(self, text: str, add_special_tokens: bool) -> "Table.Ids":
        assert not add_special_tokens
        return Table.Ids([int(word) + 1 for word in text.split()])

    class Ids:
        def __init__(self, ids: list[int]) -> None:
            self.input_ids = ids

    def token_log_probs(
        self, prompts: list[list[int]], responses: list[list[int]], **_: list[int]
    ) -> list[np.ndarray]:
        found = []
        for prompt, response in zip(prompts, responses, strict=True):
            ids, values = [one - 1 for one in prompt if one], []
            for token in response:
                row = sum(one * VOCABULARY**at for at, one in enumerate(reversed(ids)))
                values.append(float(self.table.levels[len(ids)][row, token - 1]))
                ids.append(token - 1)
            found.append(np.array(values))
        return found


def test_perplexity_is_that_of_the_table(tmp_path: Path) -> None:
    """exp(-log p / tokens), per word and per byte by the counts of the text."""
    table = Tabular.random(0)
    file = tmp_path / "texts.txt"
    file.write_text("0 1 2 3\n4 4\n")
    log_p = table.sequence_log_probs()[0 * 125 + 1 * 25 + 2 * 5 + 3]
    log_p = log_p + table.levels[0][0, 4] + table.levels[1][4, 4]
    evaluation = Perplexity(source=str(file), max_length=5, stride=2)
    run = started(tmp_path / "run")
    found = {row.name: row for row in evaluate_into(run, "t", evaluation, Table(table))}
    assert found["token_perplexity"].value == pytest.approx(math.exp(-log_p / 6), rel=1e-6)
    assert found["word_perplexity"].value == pytest.approx(math.exp(-log_p / 6), rel=1e-6)
    assert found["byte_perplexity"].value == pytest.approx(math.exp(-log_p / 10), rel=1e-6)
    assert {row.n for row in found.values()} == {2}
    assert found["token_perplexity"].protocol == (
        "perplexity@1 (max_length=5, stride=2, documents=rows)"
    )


def test_a_window_that_holds_the_document_is_the_model_itself(texts: Path) -> None:
    lm = tiny_lm()
    evaluation = Perplexity(source=str(texts), max_length=64, stride=32)
    results = evaluation.results(Subject(lm), evaluation.items(0))
    opening = lm.prompt_ids("", chat=False)
    ids = [lm.tokenizer(line).input_ids for line in LINES]
    expected = token_log_probs(lm, [opening] * len(ids), ids)
    assert [one.values["nats"] for one in results] == pytest.approx(
        [-float(values.sum()) for values in expected], abs=1e-3
    )
    assert [one.values["tokens"] for one in results] == [len(one) for one in ids]
    assert [one.values["bytes"] for one in results] == [len(line) for line in LINES]


def test_a_moving_window_forgets_what_left_it(texts: Path) -> None:
    """Position by position against a plain forward pass over the window's tokens."""
    lm = tiny_lm()
    evaluation = Perplexity(source=str(texts), max_length=8, stride=4)
    document = evaluation.items(0)[1]
    (result,) = evaluation.results(Subject(lm), [document])
    ids = lm.prompt_ids("", chat=False) + lm.tokenizer(document.text).input_ids
    nats = 0.0
    with torch.no_grad():
        for at in range(1, len(ids)):
            context = 0 if at < 8 else 4 * (at // 4) - 4
            logits = lm.model(torch.tensor([ids[context:at]])).logits[0, -1]
            nats -= float(torch.log_softmax(logits, -1)[ids[at]])
    assert result.values["nats"] == pytest.approx(nats, rel=1e-5)


# --- documents ---


def test_documents_keep_what_repeats_and_number_it(texts: Path, tmp_path: Path) -> None:
    assert [one.text for one in load_documents(str(texts))] == LINES
    some = load_documents(str(texts), limit=2)
    assert len(some) == 2
    assert [LINES[int(one.id) - 1] for one in some] == [one.text for one in some]
    (whole,) = load_documents(str(texts), division="file")
    assert whole.text == texts.read_text()
    wiki = tmp_path / "wiki.txt"
    wiki.write_text(" \n = One = \n \n so what \n = = Part = = \n no \n = Two = \n yes \n")
    articles = load_documents(str(wiki), division="articles")
    assert [one.text.split()[1] for one in articles] == ["One", "Two"]
    assert "= = Part = =" in articles[0].text
    with pytest.raises(DataError, match="no heading"):
        load_documents(str(texts), division="articles")
    with pytest.raises(ConfigError, match="are for text files"):
        load_documents("embedded", division="file")


# --- two models ---


def results(nats: dict[str, float], tokens: float = 10.0) -> list[ItemResult]:
    return [
        ItemResult(item, {"nats": value, "tokens": tokens, "words": 5.0, "bytes": 20.0})
        for item, value in nats.items()
    ]


def test_ratio_and_difference_by_hand() -> None:
    """ln 4 and ln 2 per token on two documents: pooled 2 ** 1.5 against 2 ** 2."""
    evaluation = Perplexity(source="t.txt", max_length=8, stride=4)
    before = results({"a": 10 * math.log(4), "b": 10 * math.log(2), "c": 3.0})
    after = [*results({"a": 10 * math.log(4), "b": 10 * math.log(4)}), ItemResult("c", error="x")]
    token, word, byte = evaluation.differences(before, after, resamples=200)
    assert (token.baseline, token.treated) == pytest.approx((2**1.5, 4.0))
    assert token.difference == pytest.approx(4 - 2**1.5)
    assert token.ratio == pytest.approx(2**0.5)
    assert word.ratio == pytest.approx(2.0)
    assert byte.ratio == pytest.approx(2**0.25)
    assert (token.n_pairs, token.coverage) == (2, pytest.approx(2 / 3))
    (measured, *_) = evaluation.measurements(after, resamples=200)
    assert (measured.n, measured.coverage) == (2, pytest.approx(2 / 3))


def test_equal_models_have_ratio_1_without_width() -> None:
    evaluation = Perplexity(source="t.txt")
    one = results({str(at): 5.0 + at for at in range(30)})
    for row in evaluation.differences(one, one, resamples=200):
        assert (row.ratio, row.ratio_low, row.ratio_high) == (1, 1, 1)
        assert (row.difference, row.ci_low, row.ci_high) == (0, 0, 0)


def test_unlike_tokens_are_not_compared() -> None:
    evaluation = Perplexity(source="t.txt")
    found = evaluation.differences(results({"a": 3.0}), results({"a": 3.0}, tokens=9.0))
    assert [row.name for row in found] == ["word_perplexity", "byte_perplexity"]


# --- settings and files ---


def test_wrong_settings_are_refused(texts: Path) -> None:
    with pytest.raises(ConfigError, match="stride is 8: it must be below max_length"):
        load_evaluation({"kind": "perplexity", "source": "t.txt", "max_length": 8, "stride": 8})
    with pytest.raises(ConfigError, match="Did you mean 'stride'"):
        load_evaluation({"kind": "perplexity", "source": "t.txt", "strid": 8})
    with pytest.raises(ConfigError, match=r"has no kind\. Known: .*perplexity"):
        load_evaluation({"source": "t.txt"})
    with pytest.raises(ConfigError, match=r"max_length is 999, the context of tiny.* is 256"):
        Perplexity(source=str(texts), max_length=999).resolved(Subject(tiny_lm()))


def test_a_killed_evaluation_goes_on_where_it_was(tmp_path: Path, texts: Path) -> None:
    class Batched(Perplexity):
        def batches(self, items: list) -> list:  # type: ignore[type-arg]
            return [[item] for item in items]

    class Killed(Batched):
        def results(self, subject: Subject, items: list) -> list[ItemResult]:  # type: ignore[type-arg]
            if items[0].id == "4":
                raise KeyboardInterrupt
            return super().results(subject, items)

    settings = {"source": str(texts), "max_length": 16, "stride": 8}
    whole, cut = started(tmp_path / "whole"), started(tmp_path / "cut")
    expected = evaluate_into(whole, "t", Batched(**settings), Subject(tiny_lm()))
    with pytest.raises(KeyboardInterrupt):
        evaluate_into(cut, "t", Killed(**settings), Subject(tiny_lm()))
    assert read_evaluated(cut) == {}
    rows = cut.path / "evaluation" / "t.jsonl"
    assert len(rows.read_text().splitlines()) == 3
    assert evaluate_into(cut, "t", Batched(**settings), Subject(tiny_lm())) == expected
    assert rows.read_bytes() == (whole.path / "evaluation" / "t.jsonl").read_bytes()
    assert read_evaluated(cut) == read_evaluated(whole)
    other = Batched(**settings | {"stride": 4})
    with pytest.raises(RunMismatchError, match="stride: 8 then, 4 now"):
        evaluate_into(cut, "t", other, Subject(tiny_lm()))


@pytest.mark.e2e
@pytest.mark.slow
def test_the_embedded_model_on_wikitext(data_dir: Path, tmp_path: Path) -> None:
    evaluation = Perplexity(
        source=str(data_dir / "text" / "wikitext2_test.txt.gz"),
        documents="articles",
        max_length=256,
        limit=2,
    )
    lm = load_model("embedded")
    run = started(tmp_path / "run")
    token, word, byte = evaluate_into(run, "wikitext", evaluation, Subject(lm))
    for row in (token, word, byte):
        assert row.value is not None
        assert row.ci_low is not None
        assert row.ci_low <= row.value
        assert row.n == 2
    assert 1 < byte.value < token.value < word.value < lm.model.config.vocab_size**3


def test_documents_are_chosen_by_their_attributes(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    rows = [{"text": f"{at} {text}", "toxicity": at / 10} for at, text in enumerate(LINES)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    calm = Perplexity(source=str(table), where={"toxicity": [0.0, 0.1]})
    assert [item.text for item in calm.items(0)] == [row["text"] for row in rows[:2]]
    texts = tmp_path / "rows.txt"
    texts.write_text("\n".join(LINES))
    with pytest.raises(ConfigError, match="a text has no toxicity to choose"):
        Perplexity(source=str(texts), where={"toxicity": [0.0, 0.1]}).items(0)
