from collections.abc import Iterator

import pytest

from fakes.cli import CommandLine
from fakes.control import short_paths
from fakes.person import Script
from sockslocal.paths import Paths


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """Places of the test's own, which the command line finds in its environment."""
    with short_paths() as places:
        monkeypatch.setenv("SOCKSLOCAL_CONFIG", str(places.config))
        monkeypatch.setenv("SOCKSLOCAL_RUNTIME_DIR", str(places.runtime))
        monkeypatch.setenv("SOCKSLOCAL_STATE_DIR", str(places.state))
        yield places


@pytest.fixture
def cli(paths: Paths, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in this process, with a daemon and a demo that only note how they were called."""
    return CommandLine(capsys)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Script:
    """A person whose answers the test gives beforehand."""
    return Script(monkeypatch)
