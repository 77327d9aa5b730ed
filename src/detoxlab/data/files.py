"""The content of an input file, or an error of one line that says why it cannot be read."""

import glob
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from detoxlab.errors import DataError, MissingFileError
from detoxlab.locations import meant

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt")
GZIP_MAGIC = b"\x1f\x8b"


def suffix_of(path: Path) -> str:
    """The suffix that tells the format, in lower case, without `.gz`.

    >>> suffix_of(Path("prompts.JSONL.gz"))
    '.jsonl'
    """
    plain = path.name.lower().removesuffix(".gz")
    return Path(plain).suffix


def find_files(path: Path, patterns: Sequence[str], *, what: str, many: bool) -> list[Path]:
    """The files that `path` means: itself, the matches of a pattern, or the files of a folder.

    In a folder, the files whose names match one of `patterns`; more than one is an error
    unless `many`, and without patterns so is the folder. Sorted by name.
    """
    if path.is_file():
        return [path]
    if path.is_dir() and not patterns:
        raise folder_instead(path)
    if path.is_dir():
        return _in_folder(path, patterns, what, many)
    matched = [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207
    if matched:
        return matched
    raise missing(path)


def find_below(folder: Path, pattern: str, *, what: str) -> Path:
    """The one file of a pattern in a folder, or else in a folder of it; see `find_files`."""
    inside = f"*/{pattern}"
    deeper = folder.is_dir() and not any(folder.glob(pattern)) and any(folder.glob(inside))
    (found,) = find_files(folder, (inside if deeper else pattern,), what=what, many=False)
    return found


def is_local(name: str) -> bool:
    """Whether the text means a place on this machine: it is there, or it looks like a file.

    >>> is_local("prompts.csv.gz"), is_local("./prompts"), is_local("owner/name")
    (True, True, False)
    """
    looks = name.startswith((".", "/", "~")) or any(sign in name for sign in "*?[")
    return looks or suffix_of(Path(name)) in SUFFIXES or Path(name).exists()


def missing(path: Path) -> MissingFileError:
    """The error for a file that is not there, with the nearest name beside it."""
    remedy = meant(path).strip() or "Check the path."
    if not path.parent.is_dir():
        remedy = f"There is no folder {str(path.parent)!r} either."
    return MissingFileError(f"{path}: no such file", remedy=remedy)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzipped. Raises `DataError`, `MissingFileError`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise missing(path) from None
    except IsADirectoryError:
        raise folder_instead(path) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise DataError(f"{path}: is empty", remedy="Check that it was written to its end.")
    return _unpacked(path, data)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, gzipped or not, with or without a byte order mark."""
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: not UTF-8 (byte {error.start})", remedy=_encoding_remedy(data)
        ) from None
    if not text.strip():
        raise DataError(f"{path}: is empty", remedy="Check that it was written to its end.")
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text, cut only at line feeds, with or without a carriage return.

    A carriage return alone ends a line in a file that has no line feed. Other ends of lines for
    Python's `splitlines` (form feed, U+0085, U+2028, …) occur inside of texts.

    >>> lines_of("one\\x0cpage\\r\\ntwo\\n"), lines_of("one\\rtwo")
    (['one\\x0cpage', 'two', ''], ['one', 'two'])
    """
    return (text if "\n" in text else text.replace("\r", "\n")).replace("\r\n", "\n").split("\n")


def folder_instead(path: Path) -> DataError:
    """The error for a folder where a file is needed, with the data files that it holds."""
    inside = sorted(p.name for p in path.iterdir() if suffix_of(p) in SUFFIXES)
    remedy = f"Name a file in it: {_some(inside)}." if inside else "Name a file."
    return DataError(f"{path}: is a folder, not a file", remedy=remedy)


def _in_folder(folder: Path, patterns: Sequence[str], what: str, many: bool) -> list[Path]:
    found = sorted({match for pattern in patterns for match in folder.glob(pattern)})
    if not found:
        raise MissingFileError(
            f"{folder}: holds no {what} file (looked for {', '.join(patterns)})",
            remedy="Give the file itself, or the folder that holds it.",
        )
    if len(found) > 1 and not many:
        raise DataError(
            f"{folder}: holds {len(found)} {what} files",
            remedy=f"Name one: {_some([path.name for path in found])}.",
        )
    return found


def _unpacked(path: Path, data: bytes) -> bytes:
    if not data.startswith(GZIP_MAGIC):
        if path.name.lower().endswith(".gz"):
            raise DataError(
                f"{path}: not a gzip file, whatever its name says",
                remedy="Download it again, or take the .gz off its name.",
            )
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: broken gzip ({_reason(error)})", remedy="Download or pack it again."
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    return "its content does not match its checksum or format"


def _encoding_remedy(data: bytes) -> str:
    guess = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1 or cp1252"
    return f"Perhaps it is {guess}: convert it to UTF-8, for example with iconv."


def _some(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
