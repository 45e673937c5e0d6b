"""Real servers, started once a module, and skipped with the reason where one cannot be had."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from integration.daemon import Daemon, temporary_daemon
from integration.servers.dante import Dante
from integration.servers.microsocks import Microsocks
from integration.servers.openssh import OpenSsh
from integration.servers.process import program
from integration.servers.shadowsocks import Shadowsocks
from integration.servers.socks import SocksServer
from integration.servers.targets import Targets
from integration.servers.unbound import Unbound
from integration.servers.v2ray import V2Ray

S = TypeVar("S", bound=SocksServer)

SERVERS: list[type[SocksServer]] = [Dante, Microsocks, OpenSsh, V2Ray, Shadowsocks]


def skip_without(*programs: str) -> None:
    """Skip the test where one of `programs` is not installed."""
    missing = [name for name in programs if program(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def running(kind: type[S], folder: Path) -> Iterator[S]:
    """A server for a fixture to yield from."""
    missing = kind.missing()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with kind(folder) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS, ids=lambda kind: kind.__name__)
def socks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocksServer]:
    """Each real server in turn."""
    yield from running(request.param, tmp_path_factory.mktemp("socks"))


@pytest.fixture(scope="module")
def dante(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocksServer]:
    """Dante, for what needs one good server."""
    yield from running(Dante, tmp_path_factory.mktemp("dante"))


@pytest.fixture(scope="module")
def targets() -> Iterator[Targets]:
    """The echoes behind the servers."""
    with Targets() as running:
        yield running


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    """The name server behind the servers."""
    skip_without(*Unbound.programs)
    with Unbound(tmp_path_factory.mktemp("unbound")) as server:
        yield server


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon for one test, to be configured and started."""
    with temporary_daemon() as running:
        yield running
