"""The names of services: `perspective`, `perspective=http://HOST#toxicity+threat`.

It says where each service stands and which key it gets, from the environment. It sends nothing.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from detoxlab.errors import ConfigError
from detoxlab.records import PERSPECTIVE_ATTRIBUTES
from detoxlab.servers import check_recordable

ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*([-/][a-z][a-z0-9_]*)*")
HARASSMENT = ("harassment", "hate", "harassment/threatening", "hate/threatening")
CATEGORIES = (
    *HARASSMENT,
    *("illicit", "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions"),
    *("sexual", "sexual/minors", "violence", "violence/graphic"),
)


@dataclass(frozen=True)
class Service:
    """A public service: its address, its attributes, and the variables of the environment.

    `requests_per_second` is what it usually allows; a server elsewhere is asked `ELSEWHERE`.
    `tails` are ends of addresses that users may have copied, and which are cut off.
    """

    name: str
    address: str
    attributes: tuple[str, ...]
    address_variable: str
    key_variable: str
    rate_variable: str
    requests_per_second: float
    remedy: str
    tails: tuple[str, ...] = ()
    notice: str = ""


LANGUAGES_VARIABLE = "PERSPECTIVE_LANGUAGES"
ELSEWHERE = 1000.0  # requests per second; the limit is then the number that run side by side
LOCAL = "`detoxlab serve` gives a server of your own (docs/leaving-perspective.md)"

SERVICES: Mapping[str, Service] = {
    one.name: one
    for one in (
        Service(
            name="perspective",
            address="https://commentanalyzer.googleapis.com",
            attributes=PERSPECTIVE_ATTRIBUTES,
            address_variable="PERSPECTIVE_URL",
            key_variable="PERSPECTIVE_API_KEY",
            rate_variable="PERSPECTIVE_REQUESTS_PER_SECOND",
            requests_per_second=1.0,
            tails=("/v1alpha1/comments:analyze", "/v1alpha1"),
            remedy=f"Set it, or set PERSPECTIVE_URL to another server: {LOCAL}.",
            notice=(
                "Perspective API ends on 31 December 2026. For new measurements take rtp-neural, "
                f"which learnt its scores, or set PERSPECTIVE_URL: {LOCAL}."
            ),
        ),
        Service(
            name="openai-moderation",
            address="https://api.openai.com/v1",
            attributes=("toxicity", *CATEGORIES),
            address_variable="OPENAI_BASE_URL",
            key_variable="OPENAI_API_KEY",
            rate_variable="OPENAI_REQUESTS_PER_SECOND",
            requests_per_second=8.0,
            tails=("/moderations",),
            remedy=f"Set it, or set OPENAI_BASE_URL to another server: {LOCAL}.",
        ),
    )
}


class RemoteName(NamedTuple):
    """A service, an address in place of the environment's, and attributes in place of all."""

    service: Service
    address: str | None = None
    attributes: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str) -> "RemoteName":
        """The parts of a name; raises `ConfigError` for one of another form.

        >>> found = RemoteName.read("perspective=http://host:8000#toxicity+threat")
        >>> found.service.name, found.address, found.attributes
        ('perspective', 'http://host:8000', ('toxicity', 'threat'))
        """
        place, mark, chosen = name.partition("#")
        service, equals, address = place.partition("=")
        attributes = tuple(dict.fromkeys(chosen.split("+"))) if mark else ()
        if equals:
            check_recordable(address)
        if not all(ATTRIBUTE.fullmatch(one) for one in attributes):
            raise ConfigError(
                f"the name of a scorer at {service} has another form",
                remedy=f"Write {service}, {service}=http://HOST or {service}#ATTRIBUTE+ATTRIBUTE.",
            )
        found = SERVICES[service]
        if found.name == "openai-moderation":
            _check_categories(attributes)
        return cls(found, address if equals else None, attributes)


def is_remote(name: str) -> bool:
    """Whether the name is that of a service.

    >>> is_remote("perspective#threat"), is_remote("rtp-neural")
    (True, False)
    """
    return re.split("[=#]", name, maxsplit=1)[0] in SERVICES


@dataclass(frozen=True)
class Place:
    """The server that is asked: its address, and the key, which is shown nowhere."""

    address: str
    key: str = field(default="", repr=False)
    is_public: bool = False

    @property
    def host(self) -> str:
        """Host and port, as they stand in ids.

        >>> Place("http://localhost:8000/v1").host
        'localhost:8000'
        """
        return urlsplit(self.address).netloc


def place_of(name: RemoteName, key_variable: str | None = None) -> Place:
    """The server of a name, from the name or the environment, with its key.

    The key is for the server that the environment names, by default the public one: a server that
    only the name names, as in a recipe of somebody else, gets none, unless the caller says by
    `key_variable` which one it may have. Raises `ConfigError` where a key is missing or no key.
    """
    service = name.service
    usual = _cut(os.environ.get(service.address_variable) or service.address, service)
    address = _cut(name.address, service) if name.address else usual
    is_public = _is_same(address, service.address)
    key = ""
    if key_variable or _is_same(address, usual):
        key = _key(key_variable or service.key_variable)
    if not key and (is_public or key_variable):
        raise ConfigError(
            f"{service.name}: the environment variable {key_variable or service.key_variable} "
            "holds no API key",
            remedy=service.remedy,
        )
    return Place(address, key, is_public)


def rate_of(service: Service, place: Place) -> float:
    """Requests per second, from the environment or as usual there.

    Raises `ConfigError` when the variable holds no number above 0.
    """
    said = os.environ.get(service.rate_variable)
    if not said:
        return service.requests_per_second if place.is_public else ELSEWHERE
    try:
        rate = float(said)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise ConfigError(
            f"{service.rate_variable}={said!r} is no number of requests per second",
            remedy="Give a number above 0.",
        )
    return rate


def languages_of() -> tuple[str, ...]:
    """The languages that Perspective is to take every text for; none where it tells them itself."""
    said = os.environ.get(LANGUAGES_VARIABLE, "")
    return tuple(filter(None, re.split(r"[\s,]+", said)))


def check_remote(name: str) -> None:
    """Raise the errors of a service's name, address, key and rate. It asks nobody."""
    found = RemoteName.read(name)
    rate_of(found.service, place_of(found))


def _check_categories(attributes: tuple[str, ...]) -> None:
    unknown = [one for one in attributes if one not in ("toxicity", *CATEGORIES)]
    if unknown:
        raise ConfigError(
            f"openai-moderation has no category {unknown[0]!r}",
            remedy=f"It has: toxicity, {', '.join(CATEGORIES)}.",
        )


def _cut(address: str, service: Service) -> str:
    """The address without slash and without the path that every request adds."""
    check_recordable(address)
    found = address.rstrip("/")
    for tail in service.tails:
        found = found.removesuffix(tail)
    return found.rstrip("/")


def _is_same(one: str, other: str) -> bool:
    """Whether two addresses have one scheme, host and port."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"the environment variable {variable} holds characters that no API key has",
            remedy="Copy the key again.",
        )
    return key
