"""Associations that die in all the ways they have: the same local sockets have echoes again in seconds."""

from collections.abc import Callable

import pytest

from fakes.socks5_server import Act, FakeServer, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_wire import UDP_ASSOCIATE
from fakes.waiting import wait_until
from integration.daemon import udp
from integration.local import LocalUdp
from integration.servers.process import free_port
from integration.udp_deaths import DEATHS, restart
from integration.udp_tunnel import UdpTunnel, udp_tunnel

SOON_S = 3.0
"""Within these seconds the next echo arrives."""


@pytest.mark.parametrize("die", DEATHS.values(), ids=list(DEATHS))
def test_deaths(die: Callable[[FakeServer], None]) -> None:
    """A relay behind a living control connection, the connection, the server."""
    with udp_tunnel() as tunnel, tunnel.programs([0, 1, 2, 0]) as programs:
        for _ in range(3):
            programs.exchange()
            die(tunnel.server)
            programs.exchange(seconds=SOON_S)
        assert tunnel.shown().udp == "associate"
        assert programs.refused == 0


@pytest.mark.parametrize(
    "die", [FakeServer.end_associations, restart], ids=["connection closed", "server restarted"]
)
def test_deaths_of_streams(die: Callable[[FakeServer], None]) -> None:
    """UDP over TCP is replaced likewise, by the same rung."""
    with (
        udp_tunnel(Script(formats=frozenset(StreamFormat)), cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange()
        for _ in range(2):
            die(tunnel.server)
            programs.exchange(seconds=SOON_S)
        assert tunnel.shown().udp == "uot-v2"


def test_a_relay_that_falls_silent() -> None:
    """It gives no sign but that nothing comes back; new associations work."""
    with udp_tunnel() as tunnel, tunnel.programs() as programs:
        programs.exchange()
        tunnel.server.switch(UdpScript(fault=UdpFault.DROP))
        programs.exchange(seconds=15)
        programs.exchange(rounds=3)


def test_a_server_that_moves() -> None:
    """With the configuration changed for it."""
    with udp_tunnel() as tunnel, tunnel.programs() as programs:
        programs.exchange()
        tunnel.server.move()
        tunnel.configure()
        programs.exchange(seconds=10)


def test_a_relay_that_dies_of_each_datagram() -> None:
    """Nobody is stormed: pauses grow."""
    script = Script(udp=UdpScript(fault=UdpFault.RELAY_DEAD))
    with udp_tunnel(script) as tunnel, tunnel.programs() as programs:
        for _ in range(200):
            programs.talk()
            programs.collect()
        assert tunnel.server.counts.connections.total <= 20
        tunnel.server.script = Script()
        programs.exchange(seconds=20)


def test_a_server_that_closes_at_once_and_relays_all_the_same() -> None:
    """It is used, or given up with a sentence; it is not stormed."""
    script = Script(at=Stage.RELAY, act=Act.CLOSE, udp=UdpScript(outlives=True))
    with udp_tunnel(script) as tunnel, tunnel.programs() as programs:
        for _ in range(100):
            programs.talk()
        wait_until(lambda: programs.settled() or tunnel.problem() is not None, seconds=10, what="an outcome")
        assert tunnel.server.counts.connections.total <= 20


def test_an_icmp_error_ends_nothing_else() -> None:
    """A program that has gone leaves the others as they were."""
    with udp_tunnel(leads=range(2)) as tunnel, tunnel.programs([0, 1]) as programs:
        with tunnel.programs([0]) as going:
            going.exchange()
            going.talk()
        programs.exchange(rounds=5)
        programs.lose_nothing()


def _associations(tunnel: UdpTunnel) -> int:
    return tunnel.server.counts.associations.total


def test_ends_when_idle() -> None:
    """Flows and associations go, and come again."""
    with (
        udp_tunnel(forward_options={"idle": "1s"}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange()
        tunnel.daemon.wait_for(lambda status: (status.udp.flows, status.udp.associations) == (0, 0))
        wait_until(lambda: tunnel.server.counts.associations.now == 0, seconds=5, what="the server knows")
        before = _associations(tunnel)
        programs.exchange(seconds=SOON_S)
        assert _associations(tunnel) > before


def test_a_local_port_that_another_program_takes() -> None:
    """It hears nothing that was meant for the one before, whose flow has ended."""
    with udp_tunnel(leads=[0], forward_options={"idle": "1s"}) as tunnel:

        def late() -> bool:
            return any(passage.late for passage in tunnel.server.passages)

        with tunnel.programs() as programs:
            programs.exchange()
            tunnel.server.switch(UdpScript(delay=3))
            programs.talk()
            wait_until(late, seconds=5, what="sent")
            port = programs.sockets[0].getsockname()
        tunnel.server.switch(UdpScript())
        tunnel.daemon.wait_for(lambda status: status.udp.flows == 0)
        with LocalUdp(tunnel.ports[0], bound=port) as another:
            while late():
                assert another.echo(b"mine") == b"mine"
            assert another.echo(b"mine still") == b"mine still"


def test_a_reload_harms_no_flow() -> None:
    """One more forward, and the others' flows go on by the same association."""
    with udp_tunnel() as tunnel, tunnel.programs() as programs:
        programs.exchange()
        made = _associations(tunnel)
        tunnel.sections.append(udp("another", free_port(), 9))
        tunnel.configure()
        tunnel.daemon.wait_for(lambda status: "another" in status.forwards)
        programs.exchange(rounds=3)
        assert _associations(tunnel) == made
        programs.lose_nothing()
