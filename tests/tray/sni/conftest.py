import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.session_bus import SessionBus, users_session_bus


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A session bus with nobody on it."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    with users_session_bus(tmp_path, monkeypatch) as one:
        yield one
