"""The name of a model at a server, `http://HOST/v1#MODEL`, as it may stand in records."""

from typing import NamedTuple
from urllib.parse import urlsplit

from detoxlab.errors import ConfigError
from detoxlab.servers import check_recordable


class ServedName(NamedTuple):
    """The address of a server, and the name of a model there."""

    address: str
    model: str

    @classmethod
    def read(cls, name: str) -> "ServedName":
        """The two parts of `name`; raises `ConfigError` for a name of another form.

        >>> ServedName.read("http://host:8000/v1#org/judge")
        ServedName(address='http://host:8000/v1', model='org/judge')
        """
        address, _, model = name.partition("#")
        check_recordable(address)
        if not model or "#" in model:
            raise ConfigError(
                "the name of a served model has another form", remedy="Write http://HOST/v1#MODEL."
            )
        return cls(address, model)

    @property
    def label(self) -> str:
        """The name in results: the model, and the server's host and port.

        >>> ServedName("http://host:8000/v1", "org/judge").label
        'org/judge@host:8000'
        """
        return f"{self.model}@{urlsplit(self.address).netloc}"


def is_served(name: str) -> bool:
    """Whether the name is that of a model at a server.

    >>> is_served("https://host/v1#m"), is_served("org/model")
    (True, False)
    """
    return "://" in name
