"""The broker before Dante: few associations, which die and are replaced; and servers that relay nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.raw_udp import may_send_as, send_as
from fakes.socks5_server import Script, UdpFault, UdpScript
from fakes.socks5_wire import address_octets
from fakes.udp_programs import spray
from fakes.waiting import wait_until
from integration.conftest import running
from integration.daemon import Daemon
from integration.servers.dante import Dante, DanteWithoutUdp
from integration.servers.microsocks import Microsocks
from integration.servers.openssh import OpenSsh
from integration.servers.process import LOOPBACK
from integration.servers.socks import PASSWORD, SocksServer
from integration.udp_tunnel import TunnelTo, udp_tunnel, udp_tunnel_to

MANY = 200
NAMES = [f"echo{number}.test" for number in range(40)]
"""libnss-wrapper knows no more than a hundred names and addresses."""

SOON_S = 3.0
"""Within these seconds the next echo arrives."""

POISON = b"\0\0\0" + address_octets(LOOPBACK, 0) + b"poison"
"""A datagram of which Dante's relay dies while its control connection lives on."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Dante]:
    """A Dante for one test."""
    yield from running(Dante, tmp_path)


@contextmanager
def tunnel_to(*servers: SocksServer, **more: Any) -> Iterator[TunnelTo[list[SocksServer]]]:
    """A tunnel to the last of its servers, with the login that they all have."""
    used = list(servers)
    login: dict[str, Any] = {"username": used[0].username, "password": PASSWORD}
    with udp_tunnel_to(used, lambda: used[-1].address, **login, **more) as tunnel:
        yield tunnel


def test_programs_with_remotes_of_their_own_share(server: Dante) -> None:
    """All of them two associations at most, as Dante's log and its processes say."""
    with tunnel_to(server, leads=range(MANY)) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        assert 1 <= server.associated() <= 2
        assert len(server.relays()) <= 2
        assert tunnel.udp().flows == MANY
        assert not any(forward.dropped for forward in tunnel.daemon.status().forwards.values())
        assert tunnel.echoes.strays == []


def test_names_at_one_port_do_not_share(server: Dante) -> None:
    """Only the server knows where each leads, and at the next moment it may be to where another one does."""
    leads = range(len(NAMES))
    with tunnel_to(server, leads=leads, to=NAMES) as tunnel, tunnel.programs() as programs:
        server.name(dict(zip(NAMES, (host for host, _ in tunnel.echoes.addresses), strict=True)))
        programs.exchange(rounds=2)
        assert tunnel.udp().associations == len(NAMES)
        assert tunnel.echoes.strays == []


def test_programs_of_one_remote_do_not_share(server: Dante) -> None:
    """Each has an association, for its answers could not be told from the others'."""
    with (
        tunnel_to(server, leads=[0], limits={"associations": MANY}) as tunnel,
        tunnel.programs([0] * MANY) as programs,
    ):
        programs.exchange(rounds=3)
        assert server.relaying() == MANY
        assert (tunnel.udp().associations, tunnel.udp().flows) == (MANY, MANY)


def test_who_is_done_makes_room(server: Dante) -> None:
    """Beyond the bound programs wait until others are done, and have their places; who talks is heard."""
    early_ones, bound = 119, 120
    newcomers = MANY - bound
    with (
        tunnel_to(
            server, leads=[0], limits={"associations": bound}, forward_options={"idle": "2s"}
        ) as tunnel,
        tunnel.programs([0]) as steady,
        tunnel.programs([0] * early_ones) as early,
        tunnel.programs([0] * newcomers) as new,
    ):

        def new_ones_are_served() -> bool:
            steady.exchange()
            assert tunnel.udp().associations <= bound
            return new.settled()

        steady.exchange()
        early.exchange()
        new.talk()
        tunnel.daemon.wait_for(lambda status: status.forwards["echo0"].dropped > 0)
        wait_until(new_ones_are_served, seconds=30, what="every program was served")
        new.check()
        steady.lose_nothing()


def _poison(server: Dante, daemon: Daemon) -> None:
    """Have the relays die, and nothing else."""
    relays = server.relays()
    for used in psutil.Process(daemon.pid).net_connections("udp"):
        if used.raddr:
            send_as(used.laddr, used.raddr, POISON)
    wait_until(lambda: server.relaying() == 0, seconds=5, what="the relays are dead")
    assert all(relay.is_running() for relay in relays)


def _kill_processes(server: Dante, _: Daemon) -> None:
    """Kill those that relay; their control connections are closed with that."""
    for relay in server.relays():
        relay.kill()


def _restart(server: Dante, _: Daemon) -> None:
    server.kill()
    server.start()


needs_root = pytest.mark.skipif(not may_send_as(), reason="only root may send in the name of another socket")

DEATHS = [
    pytest.param(_poison, id="relay dead, control connection open", marks=needs_root),
    pytest.param(_kill_processes, id="control connection closed"),
    pytest.param(_restart, id="server restarted"),
]


@pytest.mark.parametrize("die", DEATHS)
def test_deaths(server: Dante, die: Callable[[Dante, Daemon], None]) -> None:
    """Of an association that many share, and of a program's own: the same sockets have echoes again soon."""
    with tunnel_to(server) as tunnel, tunnel.programs([0, 1, 2, 0]) as programs:
        programs.exchange()
        for _ in range(2):
            assert server.relaying()
            die(server, tunnel.daemon)
            programs.exchange(seconds=SOON_S)
        assert tunnel.shown().udp == "associate"
        assert programs.refused == 0


def test_another_server(server: Dante, tmp_path: Path) -> None:
    """The configuration is edited, and says that the server is elsewhere now."""
    folder = tmp_path / "other"
    folder.mkdir()
    with Dante(folder) as other, tunnel_to(server) as tunnel, tunnel.programs() as programs:
        programs.exchange()
        tunnel.server.append(other)
        tunnel.configure()
        wait_until(lambda: server.relaying() == 0, seconds=SOON_S, what="the old one is left")
        programs.exchange(seconds=SOON_S)
        assert other.relaying()
        assert programs.refused == 0


WITHOUT_UDP: dict[type[SocksServer], str] = {
    Microsocks: "the server does not support this command",
    OpenSsh: "it closed the connection instead of answering",
    DanteWithoutUdp: "the server's rules forbid it",
}
"""Servers, and how each declines an association."""


def _check_no_udp(tunnel: TunnelTo[Any], sentence: str) -> None:
    """Datagrams find no way within seconds, and `status` says once why, and what to do instead."""
    with tunnel.programs() as programs:
        programs.talk()
        tunnel.wait_for_rung("none")
        problem = tunnel.problem()
        assert problem is not None
        assert sentence in problem.text
        assert problem.remedy
        shown = " ".join(tunnel.daemon.cli("status").stdout.split())
        assert (shown.count(problem.text), shown.count(problem.remedy)) == (1, 1)
        assert not programs.settled()


@pytest.mark.parametrize("kind", WITHOUT_UDP, ids=lambda kind: kind.__name__)
def test_servers_without_udp(kind: type[SocksServer], tmp_path: Path) -> None:
    """It is not supported, it is not answered, it is not allowed."""
    for server in running(kind, tmp_path):
        with tunnel_to(server, leads=[0]) as tunnel:
            _check_no_udp(tunnel, WITHOUT_UDP[kind])


def test_a_server_that_grants_and_relays_nothing() -> None:
    """The fourth way to have no UDP; no server of Debian's has it."""
    with udp_tunnel(Script(udp=UdpScript(fault=UdpFault.DROP)), leads=[0]) as tunnel:
        _check_no_udp(tunnel, "no datagram comes back")


SPRAYED_FROM = "127.9.9.8"
SPRAYED = range(1024, 61_024)
AT_A_TIME = 200
"""So many wait in the forward's socket, and leave room for what is sent there next."""

PLATEAU = 2_000_000
"""By so many octets memory may grow or differ; a record for each sprayed port would take more."""


def test_a_spray_of_ports(server: Dante) -> None:
    """Memory does not grow with them, who talks loses nothing, and when all is idle it is as before."""
    with (
        tunnel_to(server, leads=[0, 1], forward_options={"idle": "2s"}) as tunnel,
        tunnel.programs([0, 1]) as programs,
    ):
        daemon, resident = tunnel.daemon, []

        def descriptors() -> int:
            return len(daemon.descriptors() or ())  # none where we may not look

        before = descriptors()
        programs.exchange()
        for start in SPRAYED[::AT_A_TIME]:
            spray((LOOPBACK, tunnel.ports[0]), range(start, start + AT_A_TIME), source=SPRAYED_FROM)
            programs.exchange()
            resident.append(daemon.status().daemon.rss_bytes)
        programs.lose_nothing()
        warm = resident[len(resident) // 4]
        assert max(resident) - warm < PLATEAU
        daemon.wait_for(lambda status: (status.udp.flows, status.udp.associations) == (0, 0), seconds=20)
        wait_until(lambda: descriptors() <= before, seconds=5, what="its sockets are closed")
        wait_until(lambda: server.relaying() == 0, seconds=5, what="the server has ended all too")
        assert daemon.status().daemon.rss_bytes - warm < PLATEAU
