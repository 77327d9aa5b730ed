"""The texts that name a group and are harmless, for the second scorer."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


def test_a_mention_names_a_group_and_has_no_word_that_people_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from harmless_mentions import is_harmless_mention, rude_words

    # "fool" is marked in two of four comments, "women" in one of four, "silly" in only two at all.
    marked = [
        ("Fool, women", [0, 1, 2, 3]),
        ("fool women", [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("the fool and women", []),
        ("fool", []),
        ("women", []),
        ("silly", [0, 1, 2, 3, 4]),
        ("silly", [0, 1, 2, 3, 4]),
    ]
    rude = rude_words(marked)
    assert rude == {"fool"}
    assert is_harmless_mention("Women are silly.", rude)
    assert not is_harmless_mention("Women, you FOOL!", rude)
    assert not is_harmless_mention("What a lovely day.", rude)
