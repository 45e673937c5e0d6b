from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.control import short_paths
from fakes.face import FakeFace
from fakes.programs import Programs
from sockslocal.paths import Paths


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """Places of the test's own, which child processes find in their environment."""
    with short_paths() as places:
        monkeypatch.setenv("SOCKSLOCAL_RUNTIME_DIR", str(places.runtime))
        monkeypatch.setenv("SOCKSLOCAL_STATE_DIR", str(places.state))
        yield places


@pytest.fixture
def face() -> FakeFace:
    """An icon that nobody sees."""
    return FakeFace()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """None but what the test adds."""
    return Programs(tmp_path, monkeypatch)
