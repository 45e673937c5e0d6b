from collections.abc import Iterator

import pytest

from fakes.control import short_paths
from sockslocal.paths import Paths


@pytest.fixture
def paths() -> Iterator[Paths]:
    """Places of the test's own, short enough for a socket's path."""
    with short_paths() as places:
        yield places
