"""Messages between the server and its scoring processes: MessagePack with its length."""

import struct
from typing import BinaryIO, TypeVar

import msgspec

Message = TypeVar("Message", bound=msgspec.Struct)
LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()


class Offer(msgspec.Struct, frozen=True):
    """A scorer that a process has: its id, and what can be told of it without asking it.

    No `languages` means that it does not say which it reads. `thresholds` are by attribute.
    """

    id: str
    attributes: tuple[str, ...]
    languages: tuple[str, ...] = ()
    thresholds: dict[str, float] = {}


class Hello(msgspec.Struct):
    """The first message of a process: its scorers, or why it has none."""

    offers: tuple[Offer, ...] = ()
    error: str = ""


class Task(msgspec.Struct, array_like=True):
    """Texts for one scorer; of those in `detect`, by their places, the language is told too."""

    scorer: int
    texts: list[str]
    detect: list[int] = []


class Scored(msgspec.Struct, array_like=True, frozen=True):
    """The scores of a text by column, or none and the reason; and its language, "" if not told."""

    values: tuple[float | None, ...]
    reason: str = ""
    language: str = ""


class Reply(msgspec.Struct, array_like=True):
    """A row for each text of a task, in its order."""

    rows: list[Scored]


def packed(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    content = _encoder.encode(message)
    return LENGTH.pack(len(content)) + content


def unpacked(content: bytes, kind: type[Message]) -> Message:
    """The message in `content`, which is without its length."""
    return msgspec.msgpack.decode(content, type=kind)


def read_from(stream: BinaryIO) -> bytes | None:
    """The next message in a blocking stream, without its length; None at its end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None
