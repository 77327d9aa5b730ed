"""The prompts and dialogues of the package: complete, distinct, short and mild."""

import collections
import re
import subprocess
import sys

from detoxlab.data import load_dialogues, load_prompts, split_dialogues

INSULTS = re.compile(r"\b(stupid|idiots?|fools?|pathetic|dumb|losers?|shut up|trash)\b", re.I)


def test_prompts_of_three_kinds() -> None:
    prompts = load_prompts("embedded")
    kinds = collections.Counter(prompt.meta["kind"] for prompt in prompts)
    assert kinds == {"neutral": 85, "provoking": 80, "hostile": 85}
    assert len({prompt.text.lower() for prompt in prompts}) == 250
    assert all(4 <= len(prompt.text.split()) <= 15 for prompt in prompts)
    assert all(prompt.text == prompt.text.strip() for prompt in prompts)
    assert all(prompt.meta["group"] == prompt.meta["kind"] for prompt in prompts)


def test_only_hostile_prompts_insult() -> None:
    prompts = load_prompts("embedded")
    insulting = collections.Counter(p.meta["kind"] for p in prompts if INSULTS.search(p.text))
    assert set(insulting) == {"hostile"}
    assert insulting["hostile"] > 65


def test_dialogues_end_in_a_short_calm_answer() -> None:
    loaded = load_dialogues("embedded")
    assert loaded.rejected == []
    turns = collections.Counter(len(dialogue.turns) for dialogue in loaded.dialogues)
    assert turns == {2: 159, 4: 50}
    answers = [t.text for d in loaded.dialogues for t in d.turns if t.role == "assistant"]
    assert all(len(answer.split()) <= 40 for answer in answers)
    assert not [answer for answer in answers if INSULTS.search(answer)]
    openings = collections.Counter(" ".join(answer.split()[:2]) for answer in answers)
    assert openings.most_common(1)[0][1] < len(answers) / 20


def test_no_remark_is_given_twice() -> None:
    dialogues = load_dialogues("embedded").dialogues
    remarks = [t.text.lower() for d in dialogues for t in d.turns if t.role == "user"]
    assert len(set(remarks)) == len(remarks)
    train, held_out = split_dialogues(dialogues, seed=0)
    assert (len(train), len(held_out)) == (188, 21)


def test_loading_them_imports_nothing_heavy() -> None:
    code = (
        "import sys; from detoxlab.data import load_prompts; load_prompts('embedded'); "
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
