"""Addresses of servers, as they may stand in records."""

from urllib.parse import urlsplit

from detoxlab.errors import ConfigError


def check_address(base_url: str) -> None:
    """Raise `ConfigError` unless it is an address of HTTP."""
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"endpoint {base_url!r} is not a URL", remedy="Give one like http://host:8000/v1."
        )


def check_recordable(address: str) -> None:
    """Raise `ConfigError` for no address of HTTP, or for one that may hold a secret.

    The message quotes the host alone.
    """
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"the address of a server at {parts.hostname}: holds a user name, password or query, "
            "which would stand in records",
            remedy="Put the key into an environment variable instead.",
        )
    check_address(address)
