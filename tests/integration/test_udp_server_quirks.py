"""What real servers make of UDP ASSOCIATE and of datagrams, through the daemon: what can pass does."""

import contextlib
from collections.abc import Sequence

import pytest

from fakes.socks5_server import Named, PortRule, Script, UdpFault, UdpScript
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until
from integration.udp_tunnel import udp_tunnel

NAMES = ("one.test", "two.test", "three.test")

BOUND = {
    "unspecified": Script(bound_host="0.0.0.0"),
    "unspecified IPv6": Script(bound_host="::"),
    "private": Script(bound_host="10.0.0.1"),
    "link-local": Script(bound_host="169.254.0.1"),
    "multicast": Script(bound_host="224.0.0.1"),
    "empty name": Script(bound_host=""),
    "NUL name": Script(bound_host="\0"),
    "a name": Script(bound_host="proxy.internal"),
    "IPv4 in IPv6": Script(bound_host="::ffff:127.0.0.1"),
    "nobody there": Script(bound_host="127.0.0.3"),
    "elsewhere": Script(relay_host="127.0.0.2"),
    "elsewhere by IPv6": Script(relay_host="::1"),
}
"""What the reply names as the relay, and where it is."""

HABITS = {
    "the true port only": UdpScript(port_rule=PortRule.TRUE),
    "any port": UdpScript(port_rule=PortRule.ANY),
    "names the client": UdpScript(named=Named.CLIENT),
    "names what was asked": UdpScript(named=Named.REQUEST),
    "dies of poison": UdpScript(fault=UdpFault.POISON),
    "ends at anything odd": UdpScript(fault=UdpFault.TOUCHY),
    "outlives": UdpScript(outlives=True),
}
"""How the relay goes about datagrams."""

USELESS = {
    "fragments": UdpScript(fragment=1),
    "with RSV": UdpScript(reserved=b"\1\2"),
    "cut headers": UdpScript(fault=UdpFault.TRUNCATED),
    "garbage": UdpScript(fault=UdpFault.GARBAGE),
    "from another port": UdpScript(fault=UdpFault.OTHER_PORT),
    "from another address": UdpScript(fault=UdpFault.OTHER_ADDRESS),
    "nothing": UdpScript(fault=UdpFault.DROP),
}
"""Answers that no program can be given."""


@pytest.mark.parametrize("script", BOUND.values(), ids=list(BOUND))
def test_wherever_the_relay_is_said_to_be(script: Script) -> None:
    """It is found: where it is named, or where the server is."""
    with udp_tunnel(script) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        assert tunnel.shown().udp == "associate"
        assert tunnel.problem() is None


@pytest.mark.parametrize("to", [(), NAMES], ids=["addresses", "names"])
@pytest.mark.parametrize("script", HABITS.values(), ids=list(HABITS))
def test_whatever_the_relay_does(script: UdpScript, to: Sequence[str]) -> None:
    """Each program has its own answers, also where headers do not tell whose they are."""
    with udp_tunnel(Script(udp=script), to=to) as tunnel, tunnel.programs([0, 1, 2, 0]) as programs:
        programs.exchange(rounds=3)
        assert tunnel.shown().udp == "associate"
        assert tunnel.problem() is None
        assert tunnel.echoes.strays == []


@pytest.mark.parametrize("script", USELESS.values(), ids=list(USELESS))
def test_answers_that_cannot_be_used(script: UdpScript) -> None:
    """No program gets any of it, and `status` says that no UDP passes."""
    with udp_tunnel(Script(udp=script)) as tunnel, tunnel.programs() as programs:
        programs.talk()
        tunnel.wait_for_rung("none")
        assert not programs.settled()
        assert programs.own == programs.repeated == 0
        programs.check()
        problem = tunnel.problem()
        assert problem is not None
        assert problem.remedy


def test_a_relay_without_port() -> None:
    """It cannot be used: that is no UDP, and is said."""
    with udp_tunnel(Script(bound=address_octets("0.0.0.0", 0))) as tunnel, tunnel.programs() as programs:
        programs.talk()
        tunnel.wait_for_rung("none")
        problem = tunnel.problem()
        assert problem is not None
        assert problem.remedy


def test_an_empty_datagram_kills_nothing_in_use() -> None:
    """Where relays die of it, that is found out with an association that is made for it, once."""
    with (
        udp_tunnel(Script(udp=UdpScript(fault=UdpFault.POISON)), leads=range(2)) as tunnel,
        tunnel.programs([0, 0, 1]) as programs,
    ):
        counts = tunnel.server.counts
        programs.exchange()
        living = counts.associations.now
        for _ in range(3):
            programs.sockets[0].send(b"")
            wait_until(lambda: counts.associations.total == living + 1, seconds=5, what="one is tried")
            wait_until(lambda: counts.associations.now == living, seconds=5, what="it has died")
            programs.exchange(rounds=3)
        assert counts.associations.total == living + 1


def test_empty_datagrams_pass_where_nothing_dies_of_them() -> None:
    """Once that is known."""
    with udp_tunnel(leads=range(1)) as tunnel, tunnel.programs() as programs:
        programs.exchange()
        (program,) = programs.sockets

        def passes() -> bool:
            program.send(b"")
            with contextlib.suppress(BlockingIOError):
                return program.recv(100) == b""
            return False

        wait_until(passes, seconds=5, what="an empty datagram comes back")


def test_a_server_by_ipv6() -> None:
    """The request names zeros of that kind, and the relay is there too."""
    with udp_tunnel(host="::1") as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)


def test_nothing_is_written_on_control_connections() -> None:
    """Some servers end the association at any octet; this one does, and did not have to."""
    with udp_tunnel() as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        for session in tunnel.server.sessions:
            if session.relay is not None:
                assert session.segments == [b"\5\1\0", b"\5\3\0" + address_octets("0.0.0.0", 0)]
                assert session.relay.malformed == []


def test_associations_that_the_server_ends_when_idle() -> None:
    """The next datagram from the same program goes by a new one, and none is made before."""
    with udp_tunnel(Script(udp=UdpScript(idle=0.5)), leads=range(1)) as tunnel, tunnel.programs() as programs:
        programs.exchange()
        wait_until(lambda: tunnel.server.counts.associations.now == 0, seconds=10, what="it has ended")
        made = tunnel.server.counts.associations.total
        programs.exchange(rounds=3, seconds=3)
        assert tunnel.server.counts.associations.total > made
