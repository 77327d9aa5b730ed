"""A question after a text: the row of training, the ids of evaluation, what is cut and learnt."""

from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import Part, Verbaliser, mix
from detoxlab.data.split import TextSplit
from detoxlab.errors import ConfigError, DataError
from detoxlab.methods import method_of
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.targets import ResponseSpan
from detoxlab.methods.rows.dialogue import IGNORED, TokenRow
from detoxlab.methods.rows.text import text_row
from detoxlab.models.questions import asked_text
from detoxlab.records import Prompt, Text
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.tiny import tiny_lm

RUDE = Verbaliser(question=" Rude?", words={"toxic": " yes", "harmless": " no"})
LM = tiny_lm()
FOOL = Text("t", "you fool", "s", "loud", " Rude?", " yes")


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(LM.prompt_ids(text, chat=False))


def learnt(row: TokenRow) -> str:
    return str(LM.tokenizer.decode([label for label in row.labels if label not in (IGNORED, 0)]))


def labelled(count: int) -> list[Prompt]:
    labels = ("toxic", "harmless")
    return [Prompt(str(i), f"text {i}", "s", {"label": labels[i % 2]}) for i in range(count)]


def test_a_mixture_asks_after_each_text_and_answers_by_its_label() -> None:
    mixed = mix({"all": Part(labelled(4))}, verbaliser=RUDE)
    assert [(text.text, text.question, text.answer) for text in mixed[:2]] == [
        ("text 0", " Rude?", " yes"),
        ("text 1", " Rude?", " no"),
    ]


@pytest.mark.parametrize(("meta", "cause"), [({}, "has none"), ({"label": "odd"}, "without words")])
def test_a_text_without_such_a_label_is_named(meta: dict[str, Any], cause: str) -> None:
    with pytest.raises(DataError, match=rf"s, text 7: .*'toxic', 'harmless'.*{cause}.*`where`"):
        mix({"all": Part([Prompt("7", "so what", "s", meta)])}, verbaliser=RUDE)


@pytest.mark.parametrize("given", [1, 1.0, True, "1", "1.0", "yes", "True"])
@pytest.mark.parametrize(
    "words", [{"1": " yes", "0": " no"}, {1: " yes", 0: " no"}, {True: " yes", False: " no"}]
)
def test_a_label_is_found_by_what_it_means(given: Any, words: Any) -> None:
    verbaliser = parse(Verbaliser, {"question": " Rude?", "words": words}, place="recipe.yaml")
    assert verbaliser.answer(Prompt("1", "you fool", "s", {"label": given})) == " yes"


def test_a_label_written_alike_is_preferred_to_one_that_means_the_same() -> None:
    verbaliser = Verbaliser(question=" Rude?", words={"1": " first", "yes": " second"})
    assert verbaliser.answer(Prompt("1", "so", "s", {"label": "yes"})) == " second"


def test_the_whole_row_is_learnt_or_the_answer_alone() -> None:
    whole, answer = (text_row(LM, FOOL, 100, whole=whole) for whole in (True, False))
    assert whole.input_ids == answer.input_ids == (*ids_of("you fool Rude? yes"), 0)
    assert (learnt(whole), learnt(answer)) == ("you fool Rude? yes", " yes")
    assert answer.labels[-1] == 0  # the end is learnt with the answer


def test_a_text_without_question_is_learnt_whole_in_either_case() -> None:
    plain = Text("t", "you fool", "s", "loud")
    assert text_row(LM, plain, 100, whole=False) == text_row(LM, plain, 100, whole=True)


def test_only_the_text_is_cut_never_the_label() -> None:
    row = text_row(LM, FOOL, 14)  # one token per byte: 6 of question, 4 of answer, the end
    assert LM.tokenizer.decode(row.input_ids[:-1]) == "you Rude? yes"[:3] + " Rude? yes"
    assert (len(row.input_ids), row.cut, text_row(LM, FOOL, 100).cut) == (14, True, False)
    with pytest.raises(DataError, match=r"max_length 11 has no room.*question takes 6.*answer 5"):
        text_row(LM, FOOL, 11)


def test_evaluation_reads_what_training_taught() -> None:
    for length in (14, 100):
        asked = asked_text(LM, FOOL.text, FOOL.question, answer_tokens=5, max_length=length)
        assert text_row(LM, FOOL, length).input_ids[: len(asked.ids)] == asked.ids


def test_question_and_answer_are_not_regularised() -> None:
    whole, answer = (text_row(LM, FOOL, 100, whole=whole) for whole in (True, False))
    assert ResponseSpan.of_row(whole, 3, 20) == ResponseSpan(whole.input_ids, 3, len("you fool"))
    assert ResponseSpan.of_row(answer, 3, 20) is None


def test_a_loss_over_the_label_leaves_nothing_to_regularise(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="train", config={})
    with run.writing(), pytest.raises(ConfigError, match=r"nothing that is learnt.*targets to all"):
        method_of(RegularisedConfig()).fit(LM, TextSplit([FOOL] * 4), run)
