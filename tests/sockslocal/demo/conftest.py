"""A demo stage for the tests beside this file."""

from collections.abc import Iterator

import pytest

from sockslocal.demo.stage import Stage
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials


@pytest.fixture
def credentials() -> Credentials:
    """A login with characters that need care in URLs and on the wire."""
    return Credentials("änna", Secret("p@ss:wörd/%41"))


@pytest.fixture
def stage(credentials: Credentials) -> Iterator[Stage]:
    """The demo's server and its targets."""
    with Stage(credentials) as opened:
        yield opened
