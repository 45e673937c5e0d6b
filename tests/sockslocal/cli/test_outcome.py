import threading
from pathlib import Path
from typing import Any

import pytest

from fakes.control import fake_daemon, status, stopping, using
from sockslocal.cli import outcome
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError, ControlError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, problem
from sockslocal.status import Server, Status, Tunnel


async def accept(_parameters: dict[str, Any]) -> object:
    """The file is taken."""
    return {"changed": []}


def test_without_a_daemon_there_is_nothing_to_reload(paths: Paths) -> None:
    """The change waits in the file."""
    assert outcome.reload(paths) == outcome.NotInUse("sockslocal start")
    assert outcome.states_of(paths) is None


def test_a_daemon_that_stops_reads_nothing_more(paths: Paths) -> None:
    """The next one will."""
    with fake_daemon(paths, first=status(daemon=stopping(3.0))) as daemon:
        assert outcome.reload(paths) == outcome.NotInUse("sockslocal start")
        assert [verb for verb, _ in daemon.calls] == ["status"]


def test_a_daemon_with_another_file_is_told_of(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not asked to read anything, and what it says is not about this file."""
    other = tmp_path / "other.toml"
    with fake_daemon(paths, first=status(daemon=using(other))) as daemon:
        assert outcome.reload(paths) == outcome.NotInUse("sockslocal restart")
        assert outcome.states_of(paths) is None
        assert {verb for verb, _ in daemon.calls} == {"status"}
    assert capsys.readouterr().err == f"process 4711 uses another configuration: {other}\n"


def test_a_link_leads_to_the_same_file(paths: Paths, tmp_path: Path) -> None:
    """However it is spelled."""
    link = tmp_path / "link.toml"
    link.symlink_to(paths.config)
    with fake_daemon(paths, {"reload": accept}, first=status(daemon=using(link))) as daemon:
        assert isinstance(outcome.reload(paths), Status)
        assert outcome.states_of(paths) is not None
        assert ("reload", {}) in daemon.calls


def test_a_file_that_the_daemon_refuses_is_an_error(paths: Paths) -> None:
    """It stays with what it has, and says why."""

    async def refuse(_parameters: dict[str, Any]) -> object:
        raise ConfigError(problem("config-invalid", text="line 3 is wrong", remedy="edit it"))

    with fake_daemon(paths, {"reload": refuse}), pytest.raises(ControlError, match="line 3 is wrong"):
        outcome.reload(paths)


def test_a_server_that_is_being_connected_to_is_waited_for(paths: Paths) -> None:
    """Until it is known how that went."""
    connecting = status(servers={"s": Server("a:1", "connecting")})
    up = status(servers={"s": Server("a:1", "up")})
    with fake_daemon(paths, first=connecting) as daemon:
        timer = threading.Timer(0.1, daemon.set, (up,))
        timer.start()
        assert outcome.settled(Client(paths), 30) == up
        timer.join()


@pytest.mark.parametrize("on", [True, False])
def test_it_is_not_waited_for_ever(paths: Paths, *, on: bool) -> None:
    """A server that does not answer has its own deadline; behind a switch that is off nothing happens."""
    state = status(tunnel=Tunnel(on=on), servers={"s": Server("a:1", "unknown")})
    with fake_daemon(paths, first=state):
        assert outcome.settled(Client(paths), 0.1 if on else 3600) == state


def test_a_name_that_is_gone_is_no_error(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else may have edited the file meanwhile."""
    assert outcome.report("db", status(), paths.config) == ExitCode.DONE
    assert outcome.report("dns", status(), paths.config) == ExitCode.DONE
    assert capsys.readouterr().err == ""
