"""Tricks of spelling are the same for a seed, and those that count as undone are undone."""

import numpy as np
import pytest

from detoxlab.scorers import load_scorer
from detoxlab.scorers.texts import normalise
from detoxlab.scorers.texts.perturbations import LIMITS, PERTURBATIONS, Perturbation

INSULTS = [
    "You stupid idiot, shut up and leave us alone.",
    "What an ugly and pathetic fool he is!",
    "They are ignorant morons and liars.",
    "This idiot knows nothing, the stupid fool.",
]
CALM = ["The river ran past the mill, and we met at the station.", "She bought three apples."]
ALL = [pytest.param(perturb, id=name) for name, perturb in (*PERTURBATIONS, *LIMITS)]


@pytest.mark.parametrize("perturb", ALL)
def test_a_seed_decides(perturb: Perturbation) -> None:
    for text in INSULTS:
        one, same = (perturb(text, np.random.default_rng(3)) for _ in range(2))
        assert one == same != text


@pytest.mark.parametrize("perturb", ALL[: len(PERTURBATIONS)])
def test_an_undone_trick_hides_nothing_from_the_linear_scorer(perturb: Perturbation) -> None:
    plain, wrapped = load_scorer("rtp-linear"), load_scorer("normalised(rtp-linear)")
    odd = [perturb(text, np.random.default_rng(at)) for at, text in enumerate(INSULTS)]
    assert (plain(INSULTS)[:, 0] >= 0.5).all()
    assert (wrapped(odd)[:, 0] >= 0.5).mean() >= 0.75
    calm = [perturb(text, np.random.default_rng(at)) for at, text in enumerate(CALM)]
    assert (wrapped(calm)[:, 0] < 0.5).all()


def test_tricks_change_words_and_nothing_else() -> None:
    text = "You fool, at 10am for $5 to me@example.org!"
    for name, perturb in PERTURBATIONS:
        odd = perturb(text, np.random.default_rng(0))
        assert odd.endswith("!"), name
        assert " 10am " in odd, name
        assert "$5" in odd, name


def test_names_are_unique() -> None:
    names = [name for name, _ in (*PERTURBATIONS, *LIMITS)]
    assert len(set(names)) == len(names)


def test_most_words_come_back_letter_by_letter() -> None:
    undone = dict(PERTURBATIONS)
    for name in ("look-alikes", "full width", "invisible characters", "stacked marks"):
        for text in INSULTS:
            assert normalise(undone[name](text, np.random.default_rng(1))) == text
