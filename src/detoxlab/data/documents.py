"""Running text as documents, which a language model predicts token by token."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from detoxlab.data.files import is_local, lines_of, read_text, suffix_of
from detoxlab.data.source import check_limit, sample
from detoxlab.data.where import Condition
from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Prompt

Division = Literal["rows", "articles", "file"]
HEADING = re.compile(r"^ ?= [^=\n]+ = ?$", re.MULTILINE)


def load_documents(
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Condition] | None = None,
    division: Division = "rows",
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
) -> list[Prompt]:
    """The documents of a source, in its order, without the white space at their ends.

    `rows`: each row of a data set, or line of a text file, that holds more than white space.
    Lines that repeat are kept, as nothing may be left out of a running text. `articles`: a text
    file in WikiText's layout, cut before each heading of the first level (` = Title = `).
    `file`: the whole text file. `where` keeps rows of a data set as `load_prompts` does. Ids are
    the source's own, or the document's number. `limit` draws that many by the seed.

    Raises as `load_prompts` does; `ConfigError` when articles are asked of rows, or when `where`
    shall choose among the lines of a text; `DataError` when a file has no heading.
    """
    from detoxlab.data import load_prompts

    check_limit(limit)
    file = Path(path or source)
    is_text = is_local(str(file)) and suffix_of(file) == ".txt"
    if is_text and where:
        raise ConfigError(
            f"{source}: a text has no {', '.join(where)} to choose documents by",
            remedy="Leave out where, or take a table.",
        )
    if not is_text:
        if division != "rows":
            raise ConfigError(
                f"{source}: documents by {division} are for text files (.txt, .txt.gz)",
                remedy="Take documents by rows.",
            )
        found = load_prompts(source, path=path, columns=columns, where=where, revision=revision)
        return sample(found, limit, seed)
    texts = DIVISIONS[division](file, read_text(file))
    width = len(str(len(texts)))
    named = [Prompt(f"{at:0{width}}", text, file.name) for at, text in enumerate(texts, start=1)]
    return sample(named, limit, seed)


def _rows(_file: Path, text: str) -> list[str]:
    return _filled(lines_of(text))


def _articles(file: Path, text: str) -> list[str]:
    starts = [found.start() for found in HEADING.finditer(text)]
    if not starts:
        raise DataError(
            f"{file}: no heading of the first level ( = Title = ) in it",
            remedy="Take documents by rows, or the file as one.",
        )
    edges = [0, *starts, len(text)]
    return _filled(text[a:b] for a, b in itertools.pairwise(edges))


def _file(_file: Path, text: str) -> list[str]:
    return _filled([text])


def _filled(texts: Iterable[str]) -> list[str]:
    return [stripped for text in texts if (stripped := text.strip())]


DIVISIONS: dict[Division, Callable[[Path, str], list[str]]] = {
    "rows": _rows,
    "articles": _articles,
    "file": _file,
}
