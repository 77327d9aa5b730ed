"""CONAN's dialogues and pairs: hate speech answered by counter-narratives of experts.

Sources: Bonaldi et al. 2022 (DIALOCONAN) and Fanton et al. 2021 (Multitarget-CONAN),
https://github.com/marcoguerini/CONAN. The data are for research only and must not be passed
on: they are read from the user's own copy. HS is the user, CN the assistant.
"""

from collections.abc import Sequence

from detoxlab.data.dialogues import from_long, from_pairs
from detoxlab.data.source import DialogueSet, DialogueSource
from detoxlab.data.tabular import TableRow

WHERE = "Download it from github.com/marcoguerini/CONAN and name the file or its folder as path."
LONG = {
    "dialogue": "dialogue_id",
    "turn": "turn_id",
    "role": "type",
    "text": "text",
    "target": "TARGET",
}
PAIRS = {
    "id": "INDEX",
    "prompt": "HATE_SPEECH",
    "response": "COUNTER_NARRATIVE",
    "target": "TARGET",
}


def read_dialoconan(rows: Sequence[TableRow]) -> DialogueSet:
    """3,059 dialogues of 4 to 8 turns; five are odd (1369, 2503, 2580, 2956 and 3030)."""
    return from_long(rows, LONG, "dialoconan")


def read_multitarget(rows: Sequence[TableRow]) -> DialogueSet:
    """5,003 dialogues of two turns."""
    return from_pairs(rows, PAIRS, "multitarget-conan")


DIALOCONAN = DialogueSource(
    parse=read_dialoconan, patterns=("DIALOCONAN.csv*", "DIALOCONAN.json*"), where=WHERE
)
MULTITARGET = DialogueSource(
    parse=read_multitarget,
    patterns=("Multitarget-CONAN.csv*", "Multitarget-CONAN.json*"),
    where=WHERE,
)
