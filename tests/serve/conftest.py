"""Live servers that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.support.served import Server, serving


@pytest.fixture(scope="session")
def linear() -> Iterator[Server]:
    """A server of the fast scorer, without keys."""
    with serving("rtp-linear") as server:
        yield server
